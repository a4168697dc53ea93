//! Contestants that run in turn, and the rows that come of it.

use std::collections::BTreeMap;

use crate::row::{Bar, Better, Row, Spread, number, short};
use crate::stats::{median, spread};

/// With what a question compares pinfold.
#[derive(Clone, Debug)]
pub enum Against {
    /// The floor.
    Floor,
    /// The rival of this name.
    Rival(&'static str),
    /// Every rival: with the best of those that could be measured.
    EveryRival,
    /// The best of these.
    BestOf(&'static [&'static str]),
    /// A value that nobody measures, in the row's unit.
    Value(&'static str, f64),
}

/// What is asked, and what is asked of pinfold.
#[derive(Clone, Debug)]
pub struct Question {
    id: String,
    text: String,
    unit: String,
    better: Better,
    bars: Vec<(Against, f64)>,
    note: Option<String>,
}

impl Question {
    fn new(id: &str, text: &str, unit: &str, better: Better) -> Self {
        Question {
            id: id.to_owned(),
            text: text.to_owned(),
            unit: unit.to_owned(),
            better,
            bars: Vec::new(),
            note: None,
        }
    }

    /// Higher values are better. The id stays the same between versions; begin it
    /// with the name of the benchmark.
    pub fn higher(id: &str, text: &str, unit: &str) -> Self {
        Self::new(id, text, unit, Better::Higher)
    }

    /// Lower values are better.
    pub fn lower(id: &str, text: &str, unit: &str) -> Self {
        Self::new(id, text, unit, Better::Lower)
    }

    /// ours / other should be at least (if lower is better: at most) this.
    pub fn bar(mut self, against: Against, ratio: f64) -> Self {
        self.bars.push((against, ratio));
        self
    }

    /// What a reader must know.
    pub fn note(mut self, note: &str) -> Self {
        self.note = Some(note.to_owned());
        self
    }
}

/// What one round gives: one value for each question of the race, or why not.
pub trait Measure {
    /// The values.
    fn values(self) -> Result<Vec<f64>, String>;
}

impl Measure for f64 {
    fn values(self) -> Result<Vec<f64>, String> {
        Ok(vec![self])
    }
}

impl<const N: usize> Measure for [f64; N] {
    fn values(self) -> Result<Vec<f64>, String> {
        Ok(self.to_vec())
    }
}

impl Measure for Vec<f64> {
    fn values(self) -> Result<Vec<f64>, String> {
        Ok(self)
    }
}

impl<M: Measure> Measure for Result<M, String> {
    fn values(self) -> Result<Vec<f64>, String> {
        self.and_then(Measure::values)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Floor,
    Ours,
    Rival,
}

struct Contestant<'a> {
    role: Role,
    name: String,
    run: Box<dyn FnMut() -> Result<Vec<f64>, String> + 'a>,
    /// For each question its rounds; or why there are none.
    rounds: Result<Vec<Vec<f64>>, String>,
}

impl Contestant<'_> {
    /// The rounds of a question. One in which it had no value (which is not a number,
    /// or infinite) counts as the worst; most must have one.
    fn rounds(&self, question: usize) -> Result<&[f64], String> {
        let rounds = &self.rounds.as_ref().map_err(Clone::clone)?[question];
        match median(rounds).is_finite() {
            true => Ok(rounds),
            false => Err("no value in most rounds".to_owned()),
        }
    }
}

/// Contestants who answer the same questions, in turn: A B C A B C …
pub struct Race<'a> {
    questions: Vec<Question>,
    contestants: Vec<Contestant<'a>>,
}

impl<'a> Race<'a> {
    /// Each round of each contestant answers all of these.
    pub fn new(questions: impl Into<Vec<Question>>) -> Self {
        Race {
            questions: questions.into(),
            contestants: Vec::new(),
        }
    }

    /// The ids of its questions.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.questions.iter().map(|question| question.id.as_str())
    }

    fn add<M: Measure>(&mut self, role: Role, name: &str, mut run: impl FnMut() -> M + 'a) {
        self.contestants.push(Contestant {
            role,
            name: name.to_owned(),
            run: Box::new(move || run().values()),
            rounds: Ok(vec![Vec::new(); self.questions.len()]),
        });
    }

    /// The bare program that does the same work.
    pub fn floor<M: Measure>(&mut self, what: &str, run: impl FnMut() -> M + 'a) {
        self.add(Role::Floor, what, run);
    }

    /// pinfold, by this part of its interface.
    pub fn ours<M: Measure>(&mut self, what: &str, run: impl FnMut() -> M + 'a) {
        self.add(Role::Ours, what, run);
    }

    /// Another. Who fails once is not asked again, and the row says why.
    pub fn rival<M: Measure>(&mut self, name: &str, run: impl FnMut() -> M + 'a) {
        self.add(Role::Rival, name, run);
    }

    /// A rival that cannot be measured here, and why.
    pub fn missing(&mut self, name: &str, why: &str) {
        self.contestants.push(Contestant {
            role: Role::Rival,
            name: name.to_owned(),
            run: Box::new(|| Err(String::new())),
            rounds: Err(why.to_owned()),
        });
    }

    /// Runs all in turn, after one round that is not counted.
    pub fn run(mut self, rounds: usize) -> Vec<Row> {
        for round in 0..=rounds.max(1) {
            for contestant in &mut self.contestants {
                let Ok(columns) = &mut contestant.rounds else {
                    continue;
                };
                match (contestant.run)() {
                    Ok(values) if values.len() != columns.len() => {
                        let (has, need) = (values.len(), columns.len());
                        contestant.rounds = Err(format!("it gave {has} values, not {need}"));
                    }
                    Ok(values) if round > 0 => {
                        let columns = columns.iter_mut().zip(&self.questions);
                        for ((column, question), value) in columns.zip(values) {
                            column.push(question.better.or_worst(value));
                        }
                    }
                    Ok(_) => {}
                    Err(why) => contestant.rounds = Err(why),
                }
            }
        }
        let rows = self.questions.iter().enumerate();
        rows.map(|(at, question)| self.row(at, question)).collect()
    }

    fn row(&self, at: usize, question: &Question) -> Row {
        let mut row = Row {
            id: question.id.clone(),
            question: question.text.clone(),
            unit: question.unit.clone(),
            better: question.better,
            floor: None,
            ours: None,
            rivals: BTreeMap::new(),
            spread: Spread::default(),
            bars: Vec::new(),
            floor_is: String::new(),
            ours_is: String::new(),
            missing: BTreeMap::new(),
            note: question.note.clone(),
        };
        for contestant in &self.contestants {
            let name = &contestant.name;
            let rounds = contestant.rounds(at);
            let value = rounds.as_ref().ok().map(|rounds| short(median(rounds)));
            let spread = rounds.as_ref().ok().map(|rounds| short(spread(rounds)));
            let spread = spread.filter(|spread| spread.is_finite());
            if let Err(why) = rounds {
                row.missing.insert(name.clone(), why);
            }
            match contestant.role {
                Role::Floor => {
                    (row.floor, row.spread.floor) = (value, spread);
                    row.floor_is = name.clone();
                }
                Role::Ours => {
                    (row.ours, row.spread.ours) = (value, spread);
                    row.ours_is = name.clone();
                }
                Role::Rival => {
                    row.rivals.insert(name.clone(), value);
                    row.spread.rivals.extend(spread.map(|s| (name.clone(), s)));
                }
            }
        }
        row.bars = question
            .bars
            .iter()
            .map(|(against, needed)| {
                let (name, other) = other(against, &row);
                Bar::new(name, *needed, row.better, row.ours, other)
            })
            .collect();
        row
    }
}

/// The one that a bar compares with, and its value.
fn other(against: &Against, row: &Row) -> (String, Option<f64>) {
    let value = |name: &str| row.rivals.get(name).copied().flatten();
    let best = |names: &mut dyn Iterator<Item = &str>| {
        let all = names.filter_map(|name| Some((name.to_owned(), value(name)?)));
        let is_better = |a: f64, b: f64| match row.better {
            Better::Higher => a > b,
            Better::Lower => a < b,
        };
        all.reduce(|a, b| if is_better(b.1, a.1) { b } else { a })
    };
    let named = |best: Option<(String, f64)>| match best {
        Some((name, value)) => (format!("best rival ({name})"), Some(value)),
        None => ("best rival".to_owned(), None),
    };
    match against {
        Against::Floor => ("floor".to_owned(), row.floor),
        Against::Rival(name) => ((*name).to_owned(), value(name)),
        Against::EveryRival => named(best(&mut row.rivals.keys().map(String::as_str))),
        Against::BestOf(names) => named(best(&mut names.iter().copied())),
        Against::Value(name, value) => ((*name).to_owned(), Some(*value)),
    }
}

/// A row for the terminal.
pub fn table(row: &Row) -> String {
    let better = match row.better {
        Better::Higher => "higher is better",
        Better::Lower => "lower is better",
    };
    let mut lines = vec![format!(
        "{}: {} [{}, {better}]",
        row.id, row.question, row.unit
    )];
    let mut line = |role: &str, name: &str, value: Option<f64>, spread: Option<f64>| {
        let Some(value) = value else {
            let why = row.missing.get(name).map_or("", String::as_str);
            lines.push(format!("  {role:<6} {name:<34} not measured: {why}"));
            return;
        };
        let ratio = match row.ours {
            Some(ours) if role != "ours" => format!("   ours/this {:>8}", number(ours / value)),
            _ => String::new(),
        };
        lines.push(format!(
            "  {role:<6} {name:<34} {:>10}  ±{:>4.1} %{ratio}",
            number(value),
            spread.unwrap_or(0.0) * 50.0
        ));
    };
    if !row.floor_is.is_empty() {
        line("floor", &row.floor_is, row.floor, row.spread.floor);
    }
    line("ours", &row.ours_is, row.ours, row.spread.ours);
    for (name, value) in &row.rivals {
        line("rival", name, *value, row.spread.rivals.get(name).copied());
    }
    for bar in &row.bars {
        lines.push(format!("  bar    {}", bar.text(row.better)));
    }
    lines.extend(row.note.iter().map(|note| format!("  note   {note}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::{Against, Question, Race, table};

    #[test]
    fn turns_are_interleaved_and_the_first_round_is_not_counted() {
        let order = RefCell::new(String::new());
        let turn = |who: char, value: f64| {
            order.borrow_mut().push(who);
            value
        };
        let mut race = Race::new([Question::higher("x.rate", "rate", "1/s")
            .bar(Against::Floor, 0.5)
            .bar(Against::EveryRival, 1.0)
            .bar(Against::Rival("absent"), 1.0)
            .bar(Against::Value("a fixed one", 8.0), 1.0)]);
        race.floor("by hand", || turn('F', 10.0));
        let mut round = 0.0;
        race.ours("pinfold", || {
            round += 1.0;
            turn('O', if round == 1.0 { 1000.0 } else { round })
        });
        race.rival("slow", || turn('S', 2.0));
        race.rival("quick", || turn('Q', 6.0));
        race.missing("absent", "it is not installed");
        let rows = race.run(3);
        assert_eq!(*order.borrow(), "FOSQFOSQFOSQFOSQ");
        let row = &rows[0];
        assert_eq!(row.ours, Some(3.0), "of 2, 3 and 4");
        assert_eq!(row.rivals["absent"], None);
        assert_eq!(row.missing["absent"], "it is not installed");
        let bars: Vec<_> = row.bars.iter().map(|b| (b.ratio, b.met)).collect();
        assert_eq!(
            bars,
            [
                (Some(0.3), Some(false)),
                (Some(0.5), Some(false)),
                (None, None),
                (Some(0.375), Some(false)),
            ]
        );
        assert_eq!(row.bars[1].against, "best rival (quick)");
        assert!(table(row).contains("not measured: it is not installed"));
    }

    #[test]
    fn several_questions_and_a_failure_in_a_later_round() {
        let mut race = Race::new([
            Question::lower("x.p50", "p50", "µs"),
            Question::lower("x.p99", "p99", "µs"),
        ]);
        race.ours("pinfold", || [1.0, 9.0]);
        let mut calls = 0;
        race.rival("dies", || {
            calls += 1;
            if calls > 2 {
                return Err("it has died".to_owned());
            }
            Ok([2.0, 3.0])
        });
        race.rival("half", || [2.0, f64::NAN]);
        let mut values = [f64::NAN, 5.0, 7.0, f64::INFINITY, 6.0].into_iter();
        race.rival("sometimes", move || {
            [1.0, values.next().unwrap_or(f64::NAN)]
        });
        let rows = race.run(4);
        assert_eq!((rows[0].ours, rows[1].ours), (Some(1.0), Some(9.0)));
        assert_eq!(rows[1].missing["dies"], "it has died");
        assert_eq!(rows[0].rivals["half"], Some(2.0));
        assert_eq!(rows[1].rivals["half"], None);
        // Of 5, 6, 7 and none, which counts as the worst.
        assert_eq!(rows[1].rivals["sometimes"], Some(6.5));
    }
}
