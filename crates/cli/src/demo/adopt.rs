//! Scene 2: the guard, in the three steps that are no outage.

use super::stage::Stage;
use crate::args::{BackfillArgs, ChosenRegion, GuardCommand};
use crate::commands::guard;
use crate::failure::Result;
use crate::figures::count;

/// Installs, fills and arms the guard of all services, by the commands' own functions.
pub async fn adopt(stage: &Stage) -> Result<()> {
    let page = &stage.page;
    page.begin("The guard");
    page.say(
        "Each database gets triggers of its own. They know which account is at home there and refuse everybody \
         else's rows. It is done in three steps, so that no application is surprised.",
    );
    let all = || ChosenRegion { region: None };
    for service in stage.world.case.services {
        guard::run(&stage.app(service.name), GuardCommand::Install(all())).await?;
    }
    page.done("guard install: the triggers are there and only count");
    for service in stage.world.case.services {
        guard::run(
            &stage.app(service.name),
            GuardCommand::Backfill(BackfillArgs { chosen: all(), list: None }),
        )
        .await?;
    }
    let mut homes = 0;
    for service in stage.world.case.services {
        homes += stage.counts(service.name).await?.values().sum::<u64>();
    }
    page.done(&format!("guard backfill: {} accounts and customers have their home", count(homes)));
    for service in stage.world.case.services {
        guard::run(&stage.app(service.name), GuardCommand::Enforce(all())).await?;
    }
    page.done("guard enforce: from here on a write in the wrong place is refused");
    page.gap();
    page.say(
        "The directory knows each account's one home. It holds no personal data: whoever reads it without its \
         key learns how many live where, and nothing of who they are.",
    );
    page.rest().await;
    Ok(())
}
