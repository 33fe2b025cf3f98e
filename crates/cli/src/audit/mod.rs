//! The audit at work: identifiers and targets from the command line, the search on a thread of its own, the
//! report. `domicile_audit` does the looking and knows no configuration of ours.

mod identifiers;
mod residual;
mod run;
mod shown;
mod targets;
mod watch;

pub use identifiers::{Looked, columns_of, from_file, of_subjects, subjects_in};
pub use residual::residual;
pub use run::{Ran, run};
pub use shown::{answer, check, hosts};
pub use targets::{Target, open, paths};
