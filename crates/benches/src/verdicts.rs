//! The last table: every target beside what was measured, and whether it was reached.

use crate::figures::{spread, three};

/// What a figure has to be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Not less than this.
    AtLeast(f64),
    /// Not more than this.
    AtMost(f64),
}

impl Target {
    fn reached_by(self, value: f64) -> bool {
        match self {
            Target::AtLeast(target) => value >= target,
            Target::AtMost(target) => value <= target,
        }
    }

    fn words(self) -> String {
        match self {
            Target::AtLeast(target) => format!("at least {target}"),
            Target::AtMost(target) => format!("at most {target}"),
        }
    }
}

/// Lines in the order they were measured.
#[derive(Debug, Default)]
pub struct Verdicts(Vec<String>);

impl Verdicts {
    /// Adds a figure. Its median decides.
    pub fn add(&mut self, what: &str, target: Target, values: &[f64]) {
        let median = spread(values).1;
        let word = match (median.is_nan(), target.reached_by(median)) {
            (true, _) => "not measured",
            (false, true) => "reached",
            (false, false) => "**missed**",
        };
        let digits = if median < 20.0 { 2 } else { 0 };
        self.0.push(format!("| {what} | {} | {} | {word} |", target.words(), three(values, digits)));
    }

    /// Adds a row that could not be measured.
    pub fn missing(&mut self, row: &str, why: &str) {
        self.0.push(format!("| {row} | | | not measured: {} |", why.lines().next().unwrap_or_default()));
    }

    /// The table.
    pub fn told(&self) -> String {
        format!(
            "\n## Targets\n\nSet before it was built; min / median / max over the runs, the median decides.\n\n\
             | what | target | measured | |\n|---|---|---|---|\n{}\n",
            self.0.join("\n")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, Verdicts};

    #[test]
    fn the_median_decides() {
        let mut verdicts = Verdicts::default();
        verdicts.add("speed", Target::AtLeast(1.0), &[0.5, 1.0, 9.0]);
        verdicts.add("time", Target::AtMost(1.0), &[0.5, 1.5, 9.0]);
        verdicts.add("nothing", Target::AtMost(1.0), &[]);
        let told = verdicts.told();
        assert!(told.contains("| speed | at least 1 | 0.50 / 1.00 / 9.00 | reached |"), "{told}");
        assert!(told.contains("| time | at most 1 | 0.50 / 1.50 / 9.00 | **missed** |"), "{told}");
        assert!(told.contains("not measured"), "{told}");
    }
}
