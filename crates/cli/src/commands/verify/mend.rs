//! What mends a finding of `verify`: a command to paste, or the steps to it.

use crate::commands::guard::disown;
use crate::paper;

/// The commands or steps for one kind of finding at one region.
pub fn mend(kind: &str, region: &str, flag: &str) -> String {
    let lines = match kind {
        "no-home" | "unguarded" => format!(
            "  domicile guard backfill{flag} --region {region}\n{}",
            paper::wrapped(
                "  ",
                &format!(
                    "Sign-up begins with `domicile register{flag} SUBJECT --region {region}`: who skips it makes these."
                )
            )
        ),
        "second-home" => format!(
            "  domicile region reconcile{flag} {region}   # many at once? a backup was restored here: this shuts them all\n{}\n{}",
            paper::wrapped("  ", "If it is a few, signed up twice:"),
            disown::steps(region, flag)
        ),
        "missing" => format!(
            "  domicile region reconcile{flag} {region}   # was its database restored from an older backup?\n{}\n  \
             domicile verify{flag} --list found.txt   # who of them has an old copy elsewhere",
            paper::wrapped(
                "  ",
                "Begin with it, before anything is erased; the steps to bring them back stand in docs/operate.md, \
                 \"After a restore\". One who was registered and never signed up is counted here, too."
            )
        ),
        "no-guard" => format!(
            "  domicile guard install{flag} --region {region}\n  domicile region reconcile{flag} {region}   # was a backup \
             from before it restored?"
        ),
        "left-over" => format!("  domicile region reconcile{flag} {region}"),
        "not-home" => format!(
            "  domicile status{flag}          # a wave that is open ends it: domicile resume{flag}\n  \
             domicile locate{flag} SUBJECT  # was a database restored from an older backup?\n  \
             domicile region reconcile{flag} {region}   # if so"
        ),
        "outside-home" => format!(
            "{}\n  domicile verify{flag} --list found.txt   # whose they are",
            paper::wrapped(
                "  ",
                "Rows that the guard has nothing to say of: an import, a restore, an insert with triggers off. \
                 Compare them with those at the subject's home, then delete them as Domicile's role."
            )
        ),
        "policy" => format!(
            "  domicile plan{flag}                      # who may go where, by which rule not\n  \
             domicile verify{flag} --list found.txt   # who they are; the file is for you alone"
        ),
        _ => return String::new(),
    };
    format!("\n{kind} at {region}\n{lines}\n")
}
