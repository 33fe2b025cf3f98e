//! Problems of the data map.

use super::{Failure, Result};
use crate::screen::Exit;
use domicile_datamap::Problem;
use std::path::Path;

/// All problems of a data map as one failure; each is shown with its own reason and fix.
pub fn of_problems(map: &Path, problems: &[Problem]) -> Box<Failure> {
    let shown = map.display();
    if let [only] = problems {
        return Box::new(Failure {
            what: format!("{shown}: {}", only.what),
            why: only.why.clone(),
            state: super::NOTHING_CHANGED.to_owned(),
            fix: fix_of(only),
            code: only.code,
            exit: Exit::No,
        });
    }
    let mut what = format!("{shown} has {} problems", problems.len());
    for problem in problems {
        what.push_str(&format!("\n  - {}", problem.what));
    }
    Failure::new(
        "map-problems",
        what,
        "Domicile moves nothing before it knows for certain which row belongs to whom",
        "domicile check   # shows each with its reason and fix",
    )
    .exit(Exit::No)
}

/// The problem's own fix; for an open question the command that shows and answers it.
pub fn fix_of(problem: &Problem) -> String {
    match problem.code {
        "map-question-unanswered" => "domicile answer   # shows open questions with their answers".to_owned(),
        _ => problem.fix.clone(),
    }
}

/// Reads the text of a data map.
pub fn read(path: &Path) -> Result<domicile_datamap::DataMap> {
    let text = std::fs::read_to_string(path).map_err(|e| super::of_file("read the data map", path, &e))?;
    domicile_datamap::DataMap::read(&text).map_err(|e| {
        Failure::usage(
            "map-unreadable",
            format!("{}:{}:{}: {}", path.display(), e.line, e.column, e.message),
            "the data map can't be read as one",
            format!("correct line {} of {}, then: domicile check", e.line, path.display()),
        )
    })
}
