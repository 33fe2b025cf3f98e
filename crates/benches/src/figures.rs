//! Figures of several runs as one line of a table.

/// Smallest, middle and largest of some values.
pub fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let at = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
    // The mean of the two middle ones where their number is even.
    (at(0), (at(last / 2) + at(last.div_ceil(2))) / 2.0, at(last))
}

/// `min / median / max` with so many digits.
pub fn three(values: &[f64], digits: usize) -> String {
    let (min, median, max) = spread(values);
    format!("{min:.digits$} / {median:.digits$} / {max:.digits$}")
}

/// The value that `share` (0 to 1) of the values do not exceed.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).ceil() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::{quantile, spread, three};

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert_eq!(spread(&[4.0, 1.0, 3.0, 2.0]), (1.0, 2.5, 4.0));
        assert_eq!(three(&[3.0, 1.0, 2.0], 1), "1.0 / 2.0 / 3.0");
    }

    #[test]
    fn a_quantile_of_nothing_is_no_number() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 0.99), 3.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
