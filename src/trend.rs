//! Robust slopes: the Theil–Sen estimator with Sen's confidence interval.
//!
//! P. K. Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau", Journal of the American Statistical
//! Association 63 (1968). The median of all pairwise slopes is not moved by a few outliers, such as a checkpoint's spike.

use serde::{Deserialize, Serialize};

/// Two-sided 95 % of the normal distribution.
const Z_95: f64 = 1.959_964;

/// How a series changes, per unit of its x axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slope {
    /// The median of the pairwise slopes.
    pub median: f64,
    /// Lower end of the 95 % confidence interval.
    pub lower: f64,
    /// Upper end of the 95 % confidence interval.
    pub upper: f64,
}

/// The slope of `points` (x, y). `None` with fewer than three points, or if no two of them differ in x.
///
/// Costs n² / 2 slopes and a sort of them; callers keep n at 60 or below.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<Slope> {
    if points.len() < 3 {
        return None;
    }
    let mut slopes: Vec<f64> = points
        .iter()
        .enumerate()
        .flat_map(|(i, a)| points.get(i + 1..).into_iter().flatten().map(move |b| (b.1 - a.1) / (b.0 - a.0)))
        .filter(|slope| slope.is_finite())
        .collect();
    slopes.sort_by(f64::total_cmp);
    let count = slopes.len();
    let middle = median(&slopes)?;
    #[allow(clippy::cast_precision_loss, reason = "at most some thousands")]
    let (n, pairs) = (points.len() as f64, count as f64);
    let spread = Z_95 * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the slice")]
    let low = (((pairs - spread) / 2.0).floor().max(0.0) as usize).min(count - 1);
    Some(Slope { median: middle, lower: slopes[low], upper: slopes[count - 1 - low] })
}

fn median(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(half.checked_sub(1)?)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(slope: f64, n: u32) -> Vec<(f64, f64)> {
        (0..n).map(|i| (f64::from(i), 7.0 + slope * f64::from(i))).collect()
    }

    #[test]
    fn a_line_has_its_own_slope_and_a_narrow_interval() {
        let slope = theil_sen(&line(3.0, 20)).unwrap();
        assert!((slope.median - 3.0).abs() < 1e-9 && (slope.lower - 3.0).abs() < 1e-9, "{slope:?}");
    }

    #[test]
    fn a_tenth_of_outliers_does_not_move_it() {
        let mut points = line(1.0, 30);
        for i in [4, 15, 22] {
            points[i].1 += 1e6;
        }
        let slope = theil_sen(&points).unwrap();
        assert!((slope.median - 1.0).abs() < 0.5, "{slope:?}");
        assert!(slope.lower > 0.0, "{slope:?}");
    }

    #[test]
    fn noise_around_a_constant_is_no_growth() {
        let points: Vec<_> = (0..60).map(|i| (f64::from(i), f64::from((i * 7919) % 101))).collect();
        let slope = theil_sen(&points).unwrap();
        assert!(slope.lower < 0.0 && slope.upper > 0.0, "{slope:?}");
    }

    #[test]
    fn too_little_is_no_slope() {
        assert_eq!(theil_sen(&line(1.0, 2)), None);
        assert_eq!(theil_sen(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }

    proptest! {
        #[test]
        fn shifting_both_axes_changes_nothing(
            ys in prop::collection::vec(-1e6..1e6_f64, 3..40), dx in -1e3..1e3_f64, dy in -1e3..1e3_f64,
        ) {
            let points: Vec<_> = ys.iter().enumerate().map(|(i, y)| (i as f64, *y)).collect();
            let shifted: Vec<_> = points.iter().map(|(x, y)| (x + dx, y + dy)).collect();
            let (a, b) = (theil_sen(&points).unwrap(), theil_sen(&shifted).unwrap());
            prop_assert!((a.median - b.median).abs() < 1e-3 && a.lower <= a.median && a.median <= a.upper);
        }
    }
}
