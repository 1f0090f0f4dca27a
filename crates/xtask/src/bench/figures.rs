//! Figures as people and scripts read them: a table, then one JSON line a row.

use serde_json::json;

/// One measured value.
struct Row {
    subject: String,
    metric: String,
    value: f64,
    unit: &'static str,
    /// Whose value of the same metric this one is held against.
    against: Option<String>,
}

/// The rows of one bench.
pub(crate) struct Figures {
    bench: &'static str,
    rows: Vec<Row>,
}

impl Figures {
    pub(crate) const fn of(bench: &'static str) -> Self {
        Self { bench, rows: Vec::new() }
    }

    /// Adds a value.
    pub(crate) fn add(&mut self, subject: &str, metric: &str, value: f64, unit: &'static str) {
        let (subject, metric) = (subject.to_owned(), metric.to_owned());
        self.rows.push(Row { subject, metric, value, unit, against: None });
    }

    /// Holds `subject` against every other one with the same metric, and each of those against nothing.
    pub(crate) fn compare(&mut self, subject: &str) {
        for row in self.rows.iter_mut().filter(|row| row.subject == subject) {
            row.against = Some(row.metric.clone());
        }
    }

    /// The values that a row is held against: subject and ratio.
    fn ratios(&self, row: &Row) -> Vec<(&str, f64)> {
        let Some(metric) = &row.against else { return Vec::new() };
        let others = self.rows.iter().filter(|other| other.metric == *metric && other.subject != row.subject);
        others.map(|other| (other.subject.as_str(), row.value / other.value)).collect()
    }

    /// Prints the table and the lines.
    pub(crate) fn print(&self) {
        println!("\n{:<34} {:<44} {:>12}  ratio to", "subject", "metric", "value");
        for row in &self.rows {
            let Row { subject, metric, value, unit, .. } = row;
            let ratios: Vec<String> =
                self.ratios(row).iter().map(|(other, ratio)| format!("{other} {ratio:.2}")).collect();
            println!(
                "{subject:<34} {metric:<44} {:>12}  {}",
                format!("{value:.2} {unit}"),
                ratios.join(", ")
            );
        }
        println!();
        for row in &self.rows {
            let ratios: serde_json::Map<String, serde_json::Value> =
                self.ratios(row).into_iter().map(|(other, ratio)| (other.to_owned(), json!(ratio))).collect();
            let line = json!({
                "bench": self.bench,
                "subject": row.subject,
                "metric": row.metric,
                "value": row.value,
                "unit": row.unit,
                "ratio_to": if ratios.is_empty() { json!(null) } else { json!(ratios) },
            });
            println!("{line}");
        }
    }
}

/// The middle value.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_held_against_the_others_with_its_metric() {
        let mut figures = Figures::of("x");
        for (subject, metric, value) in [("a", "m", 3.0), ("b", "m", 2.0), ("b", "n", 1.0)] {
            figures.add(subject, metric, value, "ms");
        }
        figures.compare("a");
        let ratios: Vec<_> = figures.rows.iter().map(|row| figures.ratios(row)).collect();
        assert_eq!(ratios, [vec![("b", 1.5)], vec![], vec![]]);
    }

    #[test]
    fn the_median_is_a_measured_value() {
        assert_eq!(median(&[5.0, 1.0, 3.0]), 3.0);
        assert!(median(&[]).is_nan());
    }
}
