//! What a benchmark finds out, in the form in which it is written to a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which values are the good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Rates.
    Higher,
    /// Times and sizes.
    Lower,
}

impl Better {
    /// The value; if it is not a number or not finite, what is worse than all others.
    pub fn or_worst(self, value: f64) -> f64 {
        match self {
            _ if value.is_finite() => value,
            Better::Higher => f64::NEG_INFINITY,
            Better::Lower => f64::INFINITY,
        }
    }
}

/// One question's answer: medians over the rounds of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Stays the same between versions, so that runs can be compared.
    pub id: String,
    /// What was measured.
    pub question: String,
    /// Of all values.
    pub unit: String,
    /// Which values are the good ones.
    pub better: Better,
    /// A bare program, written by hand, that does the same work.
    pub floor: Option<f64>,
    /// pinfold.
    pub ours: Option<f64>,
    /// The others; `null` if it could not be measured, see `missing`.
    pub rivals: BTreeMap<String, Option<f64>>,
    /// How much the rounds differed.
    pub spread: Spread,
    /// What is asked of pinfold.
    pub bars: Vec<Bar>,
    /// What the floor does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub floor_is: String,
    /// Which part of pinfold was used.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ours_is: String,
    /// Who could not be measured, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<String, String>,
    /// What a reader must know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The distance between the quartiles of the rounds, as a share of the median.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Of the floor.
    pub floor: Option<f64>,
    /// Of pinfold.
    pub ours: Option<f64>,
    /// Of each rival that was measured.
    pub rivals: BTreeMap<String, f64>,
}

/// A ratio that pinfold should reach: ours / other, at least if higher values are
/// better, at most if lower ones are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// The other.
    pub against: String,
    /// The least ratio, or the greatest.
    pub ratio_needed: f64,
    /// What it is; `null` if one of the two was not measured.
    pub ratio: Option<f64>,
    /// Whether it is met; `null` if the other was not measured. It is not met if
    /// pinfold was not.
    pub met: Option<bool>,
}

impl Bar {
    /// Judges.
    pub fn new(
        against: String,
        needed: f64,
        better: Better,
        ours: Option<f64>,
        other: Option<f64>,
    ) -> Self {
        let ratio = ours
            .zip(other)
            .map(|(ours, other)| ours / other)
            .filter(|ratio| ratio.is_finite());
        let met = match (ours, ratio) {
            (None, _) => Some(false),
            (_, ratio) => ratio.map(|ratio| match better {
                Better::Higher => ratio >= needed,
                Better::Lower => ratio <= needed,
            }),
        };
        Bar {
            against,
            ratio_needed: needed,
            ratio: ratio.map(short),
            met,
        }
    }

    /// As a phrase: `rayon: 1.25, needs >= 4: NOT met`.
    pub fn text(&self, better: Better) -> String {
        let sign = match better {
            Better::Higher => ">=",
            Better::Lower => "<=",
        };
        let verdict = match self.met {
            Some(true) => "met",
            Some(false) => "NOT met",
            None => "not judged",
        };
        let ratio = self.ratio.map_or("?".to_owned(), number);
        format!(
            "{}: {ratio}, needs {sign} {}: {verdict}",
            self.against, self.ratio_needed
        )
    }
}

/// Lines over a common x axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// The file's name, without its ending.
    pub id: String,
    /// The heading.
    pub title: String,
    /// What x is.
    pub x: String,
    /// What y is.
    pub y: String,
    /// Whether x is drawn on a logarithmic scale.
    pub log_x: bool,
    /// The same of y.
    pub log_y: bool,
    /// The lines.
    pub series: Vec<Series>,
}

/// One line of a plot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Who.
    pub name: String,
    /// x and y.
    pub points: Vec<(f64, f64)>,
}

/// The file that one benchmark writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub bench: String,
    /// Whether it took the short way.
    pub quick: bool,
    /// How long it ran.
    pub seconds: f64,
    /// What it found out.
    pub rows: Vec<Row>,
    /// What can be drawn of it.
    pub plots: Vec<Plot>,
}

/// Five digits that count: more would only seem exact.
pub fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    format!("{value:.4e}").parse().unwrap_or(value)
}

/// A value for people: three or four digits that count.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 1000.0 => 0,
        v if v >= 100.0 => 1,
        v if v >= 10.0 => 2,
        v if v >= 0.1 || v == 0.0 => 3,
        _ => 5,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::{Bar, Better, number, short};

    fn met(better: Better, ours: Option<f64>, other: Option<f64>) -> (Option<f64>, Option<bool>) {
        let bar = Bar::new("other".into(), 2.0, better, ours, other);
        (bar.ratio, bar.met)
    }

    #[test]
    fn bars_are_judged() {
        use Better::{Higher, Lower};
        assert_eq!(met(Higher, Some(6.0), Some(3.0)), (Some(2.0), Some(true)));
        assert_eq!(met(Higher, Some(5.0), Some(4.0)), (Some(1.25), Some(false)));
        assert_eq!(met(Lower, Some(5.0), Some(4.0)), (Some(1.25), Some(true)));
        assert_eq!(met(Lower, Some(9.0), Some(4.0)), (Some(2.25), Some(false)));
        assert_eq!(met(Lower, Some(9.0), None), (None, None));
        assert_eq!(met(Lower, None, Some(4.0)), (None, Some(false)));
        assert_eq!(met(Lower, Some(9.0), Some(0.0)), (None, None));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(1.234_567_8), 1.2346);
        assert_eq!(short(0.0), 0.0);
        assert_eq!(number(1234.5), "1234");
        assert_eq!(number(0.5), "0.500");
        assert_eq!(number(12.345), "12.35");
    }
}
