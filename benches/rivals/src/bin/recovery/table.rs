//! Rounds in turn, the table of their results, and the rows for the report.

use std::collections::BTreeMap;

use pinfold_rivals::{Bar, Better, Row as Answer, Spread, median, quantile, short, spread};

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

    /// What has happened by then.
    fn verb(&self) -> &'static str {
        match self.moment {
            "joined" => "run and been joined",
            _ => "begun",
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

/// Prints the table.
pub fn print(rows: &[Measured], rounds: usize, sleeping: bool) {
    let victims = if sleeping { "sleeping" } else { "busy" };
    println!("from kill -9 of a {victims} process to each moment, {rounds} rounds [µs]");
    println!(
        "{:<58} {:>9} {:>9} {:>9} {:>8}  bar",
        "", "median", "p10", "p90", "x floor"
    );
    rows.iter().for_each(|row| print_row(row, rows));
    println!();
}

/// The floor of a row, if it has one that was measured.
fn floor<'a>(row: &Row, all: &'a [Measured]) -> Option<&'a [f64]> {
    let (name, moment) = row.floor?;
    let mut floors = all.iter();
    let floor = floors.find(|m| m.name == name && m.row.moment == moment)?;
    floor
        .values
        .as_deref()
        .ok()
        .filter(|values| !values.is_empty())
}

/// Whether others used the CPUs while this floor was measured.
fn is_disturbed(floor: &[f64]) -> bool {
    median(floor) > DISTURBED * quantile(floor, 0.1)
}

fn print_row(measured: &Measured, all: &[Measured]) {
    let Measured { name, row, values } = measured;
    let label = format!("{name}: {}", row.moment);
    let values = match values {
        Ok(values) => values,
        Err(why) => {
            println!("{label:<58} not available: {why}");
            return;
        }
    };
    let [middle, low, high] = [median(values), quantile(values, 0.1), quantile(values, 0.9)];
    let floor = floor(row, all);
    let ratio = floor.map(|floor| middle / median(floor));
    let ratio_text = ratio.map_or(String::new(), |r| format!("{r:.2}"));
    let bar_text = match (row.bar, ratio) {
        (Some(bar), _) if floor.is_some_and(is_disturbed) => {
            format!("<= {bar}: not judged, others used the CPUs")
        }
        (Some(bar), Some(ratio)) if ratio <= bar => format!("<= {bar}: met"),
        (Some(bar), Some(_)) => format!("<= {bar}: NOT met"),
        _ => String::new(),
    };
    let line =
        format!("{label:<58} {middle:>9.1} {low:>9.1} {high:>9.1} {ratio_text:>8}  {bar_text}");
    println!("{}", line.trim_end());
}

/// Each row of pinfold's that has a bar, beside all who are no floor.
pub fn rows(all: &[Measured]) -> Vec<Answer> {
    let ours = all.iter().filter(|measured| measured.row.bar.is_some());
    ours.map(|ours| answer(ours, all)).collect()
}

fn answer(ours: &Measured, all: &[Measured]) -> Answer {
    let value = |measured: &Measured| measured.values.as_deref().ok().map(|v| short(median(v)));
    let rounds_spread =
        |measured: &Measured| measured.values.as_deref().ok().map(|v| short(spread(v)));
    let floor = floor(&ours.row, all);
    // Of others only that moment is comparable at which the caller has the result.
    let is_rival = |m: &&Measured| m.row.floor.is_some() && m.row.bar.is_none();
    // A crash is compared with a crash alone.
    let is_crash = ours.name.contains("core");
    let is_joined = ours.row.moment == "joined" && !is_crash;
    let rivals: Vec<&Measured> = all.iter().filter(is_rival).filter(|_| is_joined).collect();
    let mut missing = BTreeMap::new();
    for measured in rivals.iter().copied().chain([ours]) {
        if let Err(why) = &measured.values {
            missing.insert(measured.name.to_owned(), why.clone());
        }
    }
    let disturbed = floor.is_some_and(is_disturbed);
    let mut bar = Bar::new(
        "floor".to_owned(),
        ours.row.bar.unwrap_or(f64::NAN),
        Better::Lower,
        value(ours),
        floor.map(median),
    );
    if disturbed {
        bar.met = None;
    }
    // "pinfold (a): 2 workers, …"
    let letter = ours.name.split(['(', ')']).nth(1).unwrap_or(ours.name);
    let moment = ours.row.moment.rsplit(' ').next().unwrap_or_default();
    Answer {
        id: format!("recovery.{}.{moment}", letter.replace('\'', "_new")),
        question: format!(
            "{} of a worker until its task has {} elsewhere",
            if is_crash { "abort" } else { "kill -9" },
            ours.row.verb()
        ),
        unit: "µs".to_owned(),
        better: Better::Lower,
        floor: floor.map(|v| short(median(v))),
        ours: value(ours),
        rivals: rivals
            .iter()
            .map(|m| (m.name.to_owned(), value(m)))
            .collect(),
        spread: Spread {
            floor: floor.map(|v| short(spread(v))),
            ours: rounds_spread(ours),
            rivals: rivals
                .iter()
                .filter_map(|m| Some((m.name.to_owned(), rounds_spread(m)?)))
                .collect(),
        },
        bars: vec![bar],
        floor_is: ours
            .row
            .floor
            .map_or(String::new(), |(name, _)| name.to_owned()),
        ours_is: ours.name.to_owned(),
        missing,
        note: disturbed.then(|| "not judged: others used the CPUs".to_owned()),
    }
}
