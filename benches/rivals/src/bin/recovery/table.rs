//! Rounds in turn, and the table of their results.

use pinfold_rivals::{median, quantile};
use serde_json::{Value, json};

/// A floor whose median is this many times its 10th percentile was raised by others
/// who used the CPUs meanwhile: a bar that it makes easy to meet is not judged.
const DISTURBED: f64 = 2.0;

/// One measured moment of a contestant.
pub struct Row {
    moment: &'static str,
    floor: Option<(&'static str, &'static str)>,
    bar: Option<f64>,
}

impl Row {
    pub fn new(moment: &'static str) -> Self {
        Row {
            moment,
            floor: None,
            bar: None,
        }
    }

    /// Compared with the moment of that contestant; it should be at most `bar` times
    /// as long.
    pub fn against(mut self, floor: (&'static str, &'static str), bar: Option<f64>) -> Self {
        self.floor = Some(floor);
        self.bar = bar;
        self
    }
}

/// One round of a contestant: its moments in µs, or why there are none.
type Run<'a> = Box<dyn FnMut() -> Result<Vec<f64>, String> + 'a>;

/// Whoever takes its turn.
pub struct Contestant<'a> {
    pub name: &'static str,
    rows: Vec<Row>,
    run: Run<'a>,
}

impl<'a> Contestant<'a> {
    pub fn new(
        name: &'static str,
        rows: Vec<Row>,
        run: impl FnMut() -> Result<Vec<f64>, String> + 'a,
    ) -> Self {
        Contestant {
            name,
            rows,
            run: Box::new(run),
        }
    }
}

/// A row with all its rounds, sorted; or why there are none.
pub struct Measured {
    name: &'static str,
    row: Row,
    values: Result<Vec<f64>, String>,
}

/// Runs them in turn, A B C A B C …, after one round that is not counted. Who fails
/// once is not asked again.
pub fn measure(rounds: usize, mut contestants: Vec<Contestant<'_>>) -> Vec<Measured> {
    let mut values: Vec<Result<Vec<Vec<f64>>, String>> = contestants
        .iter()
        .map(|c| Ok(vec![Vec::new(); c.rows.len()]))
        .collect();
    for round in 0..=rounds {
        for (contestant, values) in contestants.iter_mut().zip(&mut values) {
            let Ok(columns) = values else { continue };
            match (contestant.run)() {
                Ok(moments) if round > 0 => {
                    for (column, moment) in columns.iter_mut().zip(moments) {
                        column.push(moment);
                    }
                }
                Ok(_) => {}
                Err(why) => *values = Err(why),
            }
        }
    }
    let mut measured = Vec::new();
    for (contestant, values) in contestants.into_iter().zip(values) {
        for (at, row) in contestant.rows.into_iter().enumerate() {
            let mut values = values.as_ref().map(|columns| columns[at].clone());
            if let Ok(values) = &mut values {
                values.sort_by(f64::total_cmp);
            }
            measured.push(Measured {
                name: contestant.name,
                row,
                values: values.map_err(Clone::clone),
            });
        }
    }
    measured
}

/// Prints the table, then the same as one line of JSON.
pub fn print(rows: &[Measured], rounds: usize, sleeping: bool) {
    let victims = if sleeping { "sleeping" } else { "busy" };
    println!("from kill -9 of a {victims} process to each moment, {rounds} rounds [µs]");
    println!(
        "{:<58} {:>9} {:>9} {:>9} {:>8}  bar",
        "", "median", "p10", "p90", "x floor"
    );
    let rows: Vec<Value> = rows.iter().map(|row| print_row(row, rows)).collect();
    println!(
        "{}",
        json!({ "bench": "recovery", "unit": "us", "victims": victims, "rounds": rounds, "rows": rows })
    );
}

fn print_row(measured: &Measured, all: &[Measured]) -> Value {
    let Measured { name, row, values } = measured;
    let label = format!("{name}: {}", row.moment);
    let values = match values {
        Ok(values) => values,
        Err(why) => {
            println!("{label:<58} not available: {why}");
            return json!({ "name": name, "moment": row.moment, "not_available": why });
        }
    };
    let [middle, low, high] = [median(values), quantile(values, 0.1), quantile(values, 0.9)];
    let floor = row.floor.and_then(|(name, moment)| {
        let floor = all
            .iter()
            .find(|m| m.name == name && m.row.moment == moment)?;
        let values = floor.values.as_ref().ok()?;
        Some((median(values), quantile(values, 0.1)))
    });
    let is_disturbed = floor.is_some_and(|(floor, low)| floor > DISTURBED * low);
    let floor = floor.map(|(floor, _)| floor);
    let ratio = floor.map(|floor| middle / floor);
    let is_met = ratio
        .zip(row.bar)
        .filter(|_| !is_disturbed)
        .map(|(ratio, bar)| ratio <= bar);
    let ratio_text = ratio.map_or(String::new(), |r| format!("{r:.2}"));
    let bar_text = match (row.bar, is_met) {
        (Some(bar), Some(true)) => format!("<= {bar}: met"),
        (Some(bar), Some(false)) => format!("<= {bar}: NOT met"),
        (Some(bar), None) if is_disturbed => format!("<= {bar}: not judged, others used the CPUs"),
        _ => String::new(),
    };
    let line =
        format!("{label:<58} {middle:>9.1} {low:>9.1} {high:>9.1} {ratio_text:>8}  {bar_text}");
    println!("{}", line.trim_end());
    let short = |value: f64| (value * 100.0).round() / 100.0;
    json!({
        "name": name, "moment": row.moment,
        "median": short(middle), "p10": short(low), "p90": short(high),
        "floor": floor.map(short), "ratio": ratio.map(short), "bar": row.bar, "met": is_met,
    })
}
