//! The class matrix: every decision for 2 000 classes in 10 regions, with a cold cache; then 100 million
//! subjects placed by their class's number. Each in a process of its own, so that its memory is its own.

use crate::memory::peak_mib;
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible};
use domicile_policy::{
    Action, Circumstances, Class, ClassId, Context, Country, Latency, Placer, Policies, Region,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Instant;

/// With [`ACTIONS`] 42 pairs.
const CATEGORIES: [&str; 6] = ["identity", "contact", "orders", "messages", "photos", "health"];
/// All actions but `transfer`, which has a source as well.
const ACTIONS: [Action; 7] = [
    Action::Store,
    Action::Process,
    Action::Cache,
    Action::Backup,
    Action::Log,
    Action::Index,
    Action::Support,
];
/// The regions' countries.
const COUNTRIES: [&str; 10] = ["DE", "FR", "IN", "US", "BR", "JP", "AU", "SG", "ZA", "CA"];
/// Flags that policies mention: eight classes for each country.
const FLAGS: [&str; 3] = ["employee", "minor", "public-body"];
/// Processors, each with its share.
const THREADS: usize = 2;
/// Runs of the placing, which is short.
const PLACINGS: usize = 5;

/// What the matrix's process tells.
#[derive(Serialize, Deserialize)]
struct Matrix {
    policies: usize,
    classes: usize,
    decisions: usize,
    allowed: usize,
    seconds: f64,
    again_seconds: f64,
    peak_mib: f64,
}

/// What the placing's process tells.
#[derive(Serialize, Deserialize)]
struct Places {
    classes: usize,
    subjects: usize,
    /// Until every class had its placement from every region, with a cold cache.
    table_seconds: f64,
    seconds: Vec<f64>,
    must_leave: u64,
    peak_mib: f64,
}

/// Measures and prints.
pub fn run(asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    let (classes, subjects) = if asked.quick { (100, 5_000_000) } else { (2_000, 100_000_000) };
    eprintln!("bench: the matrix of {classes} classes");
    let matrix: Matrix = apart("class-matrix", classes, subjects)?;
    eprintln!("bench: placing {subjects} subjects");
    let places: Places = apart("class-places", classes, subjects)?;
    println!(
        "\n## Classes\n\n{} policies of Cedar; {} classes x {} (category, action) x {} regions are {} decisions, {} of them allowed, on \
         {THREADS} threads with a cold cache. Another process makes the table of placements, every class from every region (that asks for \
         `store` and `transfer`), and then places {} subjects on {THREADS} threads, which read one table: the numbers of their classes lie in memory, \
         2 bytes each, and for each the placement is looked up and read.\n\n\
         | | seconds | peak memory |\n|---|---|---|\n| matrix, cold | {:.2} | {:.0} MiB |\n| the same again, from the cache | {:.2} | |\n\
         | table of placements of {} classes, cold | {:.2} | |\n\
         | placing, min / median / max of {PLACINGS} | {} | {:.0} MiB |\n\n{} of the placed must leave where they are.",
        matrix.policies,
        matrix.classes,
        CATEGORIES.len() * ACTIONS.len(),
        COUNTRIES.len(),
        matrix.decisions,
        matrix.allowed,
        places.subjects,
        matrix.seconds,
        matrix.peak_mib,
        matrix.again_seconds,
        places.classes,
        places.table_seconds,
        crate::figures::three(&places.seconds, 2),
        places.peak_mib,
        places.must_leave,
    );
    // The targets are of 2 000 classes and 100 million subjects: fewer have less.
    let share = [classes as f64 / 2_000.0, subjects as f64 / 1e8];
    let matrix_s = Target::AtMost(60.0 * share[0]);
    verdicts.add("class matrix, cold, seconds", matrix_s, &[matrix.seconds]);
    verdicts.add("placing by class, seconds", Target::AtMost(share[1]), &places.seconds);
    verdicts.add("placing by class, MB", Target::AtMost(400.0), &[places.peak_mib * 1.048_576]);
    Ok(())
}

fn apart<T: for<'a> Deserialize<'a>>(what: &str, classes: usize, subjects: usize) -> Fallible<T> {
    let sizes = [classes.to_string(), subjects.to_string()];
    let told = Command::new(std::env::current_exe()?).arg(what).args(sizes).output()?;
    if !told.status.success() {
        return Err(format!("{what}: {}", String::from_utf8_lossy(&told.stderr)).into());
    }
    Ok(serde_json::from_slice(&told.stdout)?)
}

/// The matrix's process.
pub fn matrix_process(classes: &str) -> Fallible<()> {
    let (policies, regions, classes) = (policies()?, regions()?, classes_of(classes.parse()?));
    let began = Instant::now();
    let allowed = matrix(&policies, &regions, &classes);
    let seconds = began.elapsed().as_secs_f64();
    let began = Instant::now();
    if matrix(&policies, &regions, &classes) != allowed {
        return Err("the cache decides otherwise than the policies".into());
    }
    let told = Matrix {
        policies: policies.len(),
        classes: classes.len(),
        decisions: classes.len() * regions.len() * CATEGORIES.len() * ACTIONS.len(),
        allowed,
        seconds,
        again_seconds: began.elapsed().as_secs_f64(),
        peak_mib: peak_mib()?,
    };
    println!("{}", serde_json::to_string(&told)?);
    Ok(())
}

/// How many decisions of all are for it.
fn matrix(policies: &Policies, regions: &[Region], classes: &[Class]) -> usize {
    let mechanisms = BTreeMap::new();
    let of = |class: &Class, region: &Region| {
        let pairs = ACTIONS.into_iter().flat_map(|action| CATEGORIES.map(|category| (action, category)));
        let allowed = pairs.filter(|(action, category)| {
            let context = Context { category, source: None, mechanisms: &mechanisms };
            policies.decide(class, *action, region, &context).allowed
        });
        allowed.count()
    };
    let share = classes.len().div_ceil(THREADS);
    std::thread::scope(|scope| {
        let all: Vec<_> = classes
            .chunks(share)
            .map(|mine| {
                scope.spawn(move || {
                    mine.iter()
                        .map(|class| regions.iter().map(|region| of(class, region)).sum::<usize>())
                        .sum()
                })
            })
            .collect();
        all.into_iter().map(|thread| thread.join().unwrap_or(0_usize)).sum()
    })
}

/// The placing's process.
pub fn places_process(classes: &str, subjects: &str) -> Fallible<()> {
    let (classes, policies, regions) = (classes_of(classes.parse()?), policies()?, regions()?);
    let (latency, mechanisms) = (Latency::default(), BTreeMap::new());
    let categories = CATEGORIES.map(str::to_owned);
    let circumstances = Circumstances {
        categories: &categories,
        regions: &regions,
        latency: &latency,
        today: jiff::civil::date(2026, 11, 22),
        mechanisms: &mechanisms,
        for_latency: false,
    };
    let began = Instant::now();
    let placer = filled(&policies, circumstances, &classes);
    let table_seconds = began.elapsed().as_secs_f64();
    let column = column(subjects.parse()?, u16::try_from(classes.len())?);
    let (mut seconds, mut must_leave) = (Vec::new(), 0);
    for _ in 0..PLACINGS {
        let began = Instant::now();
        must_leave = placed(&placer, &column)?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    let (classes, subjects) = (classes.len(), column.len());
    let told = Places { classes, subjects, table_seconds, seconds, must_leave, peak_mib: peak_mib()? };
    println!("{}", serde_json::to_string(&told)?);
    Ok(())
}

/// A placer that has placed every class from every region.
fn filled<'a>(policies: &'a Policies, circumstances: Circumstances<'a>, classes: &[Class]) -> Placer<'a> {
    let mut placer = Placer::new(policies, circumstances);
    for class in classes {
        let id = placer.intern(class);
        for from in 0..circumstances.regions.len() {
            placer.place(id, Some(from));
        }
    }
    placer
}

/// A class's number for every subject, in no order: there are fewer classes than 2^16.
fn column(subjects: usize, classes: u16) -> Vec<u16> {
    let mut column = Vec::with_capacity(subjects);
    let mut dice = 1_u64;
    for _ in 0..subjects {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        column.push(((dice >> 33) % u64::from(classes)) as u16);
    }
    column
}

/// Places every subject of the column; the regions they live in are equally long runs of it. How many must leave.
fn placed(placer: &Placer<'_>, column: &[u16]) -> Fallible<u64> {
    let share = column.len().div_ceil(THREADS);
    let one = |mine: &[u16]| {
        let run = mine.len().div_ceil(COUNTRIES.len()).max(1);
        let (mut must_leave, mut unknown) = (0, 0);
        for (from, subjects) in mine.chunks(run).enumerate() {
            for id in subjects {
                match placer.placed(ClassId(u32::from(*id)), Some(from)) {
                    Some(placement) => must_leave += u64::from(placement.must_leave),
                    None => unknown += 1,
                }
            }
        }
        if unknown > 0 { Err(format!("{unknown} subjects have no class")) } else { Ok(must_leave) }
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = column.chunks(share).map(|mine| scope.spawn(move || one(mine))).collect();
        let mut sum = 0;
        for thread in all {
            sum += thread.join().map_err(|_| "a thread of the placing panicked")??;
        }
        Ok(sum)
    })
}

/// So many classes that the policies can tell apart.
fn classes_of(count: usize) -> Vec<Class> {
    let sets = (0..1_usize << FLAGS.len()).map(|set| {
        let flags = FLAGS.iter().enumerate().filter(move |(bit, _)| set >> bit & 1 == 1);
        flags.map(|(_, flag)| (*flag).to_owned()).collect::<BTreeSet<String>>()
    });
    let citizens = ["DE", "IN"].map(|c| c.parse::<Country>().ok());
    let all = sets.flat_map(|flags| {
        citizens.into_iter().flat_map(move |citizenship| {
            let flags = flags.clone();
            Country::all().map(move |country| Class {
                citizenship,
                flags: flags.clone(),
                ..Class::resident(country)
            })
        })
    });
    all.take(count).collect()
}

fn regions() -> Fallible<Vec<Region>> {
    let one = |country: &&str| {
        let country_code: Country = country.parse()?;
        let (id, site) = (country.to_lowercase(), (*country).to_owned());
        Ok(Region { id, country: country_code, operator: country_code, opens: None, site })
    };
    COUNTRIES.iter().map(one).collect()
}

/// A file of laws for each region's country, and some that hold for all.
fn policies() -> Fallible<Policies> {
    let mut files = vec![("general.cedar".to_owned(), GENERAL.to_owned())];
    for country in COUNTRIES {
        files.push((format!("{country}.cedar"), LAWS.replace("COUNTRY", country)));
    }
    Ok(Policies::parse(&files, &[])?)
}

const GENERAL: &str = r#"
@law("benchmark, 1") @reason("who has no law of their own may live anywhere")
permit (principal, action, resource) when { !["DE", "FR", "IN", "BR", "JP", "AU", "SG", "ZA", "CA"].contains(principal.residence) };
@law("benchmark, 2") @reason("health data is indexed in the country of residence only")
forbid (principal, action == Action::"index", resource) when { context.category == "health" && resource.country != principal.residence };
@law("benchmark, 3") @reason("a public body's data stays with operators of its country")
forbid (principal in Flag::"public-body", action, resource) when { resource.operator != principal.residence };
@law("benchmark, 4") @reason("minors are not indexed")
forbid (principal in Flag::"minor", action == Action::"index", resource);
"#;

const LAWS: &str = r#"
@law("law of COUNTRY, 1") @reason("residents live at home")
permit (principal, action, resource) when { principal.residence == "COUNTRY" && resource.country == "COUNTRY" };
@law("law of COUNTRY, 2") @reason("employees are looked after from anywhere")
permit (principal in Flag::"employee", action == Action::"support", resource) when { principal.residence == "COUNTRY" };
@law("law of COUNTRY, 3") @reason("citizens abroad may be cached at home")
permit (principal, action == Action::"cache", resource) when { principal.citizenship == "COUNTRY" && resource.country == "COUNTRY" };
"#;
