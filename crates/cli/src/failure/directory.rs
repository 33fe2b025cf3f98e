//! Errors of the directory.

use super::{Failure, of_store};
use domicile_directory::Error;

/// An error of the directory.
pub fn of_directory(error: &Error) -> Box<Failure> {
    let what = error.to_string();
    match error {
        Error::Store(store) => of_store("the control store", store),
        Error::Key(_) => Failure::usage(
            "key-unusable",
            what,
            "without its key the directory can't find anybody",
            "restore the file keys/directory.key from your backup",
        ),
        Error::OtherKey { .. } => Failure::usage(
            "key-other",
            what,
            "with another key every subject would look unknown, and would be given a second home",
            "use the keys folder that belongs to this control store: [control] keys in domicile.toml",
        ),
        Error::Absent { .. } => Failure::new(
            "directory-absent",
            what,
            "nobody has a home yet: the directory is made when the guard is installed",
            "domicile guard install",
        ),
        Error::TooNew { .. } => Failure::usage(
            "directory-newer",
            what,
            "an older program could misread what a newer one wrote",
            "use the newer domicile",
        ),
        Error::Elsewhere { .. } => Failure::new(
            "directory-changed",
            what,
            "nobody but the worker of a wave may move its subjects; perhaps the control store was restored from a backup",
            "domicile verify",
        ),
        Error::Homeless { .. } => Failure::new(
            "homeless",
            what,
            "a claim belongs to somebody who lives somewhere",
            "domicile register SUBJECT --region ID",
        ),
        Error::UnknownWave { wave } => unknown_wave(wave),
        Error::Held { wave, holder, .. } => Failure::new(
            "wave-held",
            format!("wave {wave} is being worked on by {holder}"),
            "two workers must not move the same wave; one whose process died loses its turn within seconds",
            format!("domicile status\ndomicile pause {wave}   # to let it stop at a safe point"),
        ),
        Error::LeaseLost { .. } | Error::BatchLost { .. } => Failure::new(
            "lease-lost",
            what,
            "this worker was too slow to answer, so another one took its turn",
            "domicile status",
        ),
        Error::WrongState { .. } => Failure::new(
            "wave-state",
            what,
            "a wave only goes forwards, or back before its cutover",
            "domicile status",
        ),
        Error::Corrupt { .. } => Failure::new(
            "directory-corrupt",
            what,
            "the directory's tables were changed by something else than Domicile",
            "restore the control store from its backup",
        ),
        _ => Failure::new("directory-refused", what, "the directory can't do that", "domicile status"),
    }
}

/// No such wave.
pub fn unknown_wave(wave: &str) -> Box<Failure> {
    Failure::usage(
        "wave-unknown",
        format!("there is no wave {wave}"),
        "the control store's journal has none of that name",
        "domicile status   # lists the waves",
    )
}
