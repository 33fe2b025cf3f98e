//! A plan: who goes where, why, how much that is, and who can't go anywhere.

use super::case::Trip;
use super::page::Tone;
use super::stage::Stage;
use crate::args::PlanArgs;
use crate::commands::plan;
use crate::failure::Result;
use crate::figures::{bytes, count};
use crate::paper;
use domicile_mover::Plan;
use std::path::PathBuf;

/// Makes the plan of a trip by the command's own function, and shows it.
pub async fn plan_trip(stage: &Stage, number: usize, trip: &Trip) -> Result<(Plan, PathBuf)> {
    let page = &stage.page;
    let file = stage.world.folder.plan(number);
    page.begin(trip.title);
    page.say(&format!("{} First the plan: it changes nothing.", trip.story));
    let args = PlanArgs {
        output: Some(file.clone()),
        from: Vec::new(),
        on: Some(trip.on),
        for_latency: trip.for_latency,
    };
    plan::run(&stage.app(trip.service), args).await?;
    let plan = plan::read(&file)?;
    page.show(&moves(&plan));
    page.show_wrapped(&reasons(&plan));
    page.rest().await;
    // The same people are refused by every plan: one screen for them is enough.
    if number == stage.world.case.refusals_at {
        refusals(stage, &plan);
        page.rest().await;
    } else if !plan.refusals.is_empty() {
        let n: u64 = plan.refusals.iter().map(|r| r.group.subjects).sum();
        page.say(&format!(
            "{} are refused any region of this maker: more of them on a later screen.",
            count(n)
        ));
    }
    Ok((plan, file))
}

fn moves(plan: &Plan) -> String {
    let head = ["from", "to", "who", "people", "rows", "bytes", "objects"];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for planned in &plan.moves {
        let size = planned.size();
        let mut who: Vec<&str> = planned.groups.iter().map(|g| g.class.as_str()).collect();
        who.sort_unstable();
        rows.push(vec![
            planned.from.clone(),
            planned.to.clone(),
            who.join(" "),
            count(planned.subjects),
            count(size.rows),
            bytes(size.bytes),
            if planned.objects > 0 { count(planned.objects) } else { "-".to_owned() },
        ]);
    }
    for (region, n) in &plan.stays {
        rows.push(vec![
            region.clone(),
            "(stay)".to_owned(),
            String::new(),
            count(*n),
            String::new(),
            String::new(),
            String::new(),
        ]);
    }
    paper::table(&head, &[3, 4, 5, 6], rows)
}

/// Each law that decides, once: what it is called, and why the largest class goes where it goes.
fn reasons(plan: &Plan) -> String {
    let mut laws: Vec<&str> = Vec::new();
    let mut text = String::new();
    for planned in &plan.moves {
        let Some(first) = planned.groups.iter().max_by_key(|g| g.subjects) else { continue };
        if !laws.contains(&first.law.as_str()) {
            laws.push(&first.law);
            let must = first.why.split(';').next().unwrap_or_default();
            text.push_str(&format!("{}\n", paper::wrapped("  why   ", must)));
        }
        let where_to = first.why.split(';').find(|part| part.contains("goes to")).unwrap_or_default().trim();
        let where_to =
            where_to.split(": goes to").last().unwrap_or_default().trim_start_matches("goes to").trim();
        text.push_str(&format!("{}\n", paper::wrapped("  where ", &format!("{}: {where_to}", first.class))));
    }
    text
}

/// Those who must leave and may go nowhere: the plan says it, and so does the demo, in plain words.
fn refusals(stage: &Stage, plan: &Plan) {
    let page = &stage.page;
    page.begin("Who can't be helped by moving");
    for refusal in &plan.refusals {
        let group = &refusal.group;
        page.show(&format!(
            "{}   {} at {}",
            page.paint(Tone::Bad, &group.class),
            count(group.subjects),
            refusal.region
        ));
        let mut told: Vec<&str> = Vec::new();
        for (_, why) in &refusal.against {
            if !told.contains(&why.as_str()) {
                told.push(why);
                let alike = refusal.against.iter().filter(|(_, w)| w == why).map(|(r, _)| r.as_str());
                let alike = alike.collect::<Vec<_>>().join(", ");
                page.show_wrapped(&format!("  {alike}\n{}", paper::wrapped("    no: ", why)));
            }
        }
    }
    let Some((flag, _)) = stage.world.case.flagged else { return };
    let n: u64 =
        plan.refusals.iter().filter(|r| r.group.class.contains(flag)).map(|r| r.group.subjects).sum();
    page.say(&format!(
        "An air force told its people to keep their data away from operators under Chinese law. For these {} \
         moving does not help: every region of this maker is run by an operator under Chinese law, Singapore \
         included. Servers elsewhere don't change who controls them. They stay in Beijing, and the plan says so \
         instead of moving them and calling it solved.",
        count(n)
    ));
}
