//! All rows of a run: the bars, and changes against an earlier run.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::row::{Better, Row, number};

/// The file `results.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// What.
    pub rows: Vec<Row>,
}

/// The bars that are not met, and those that could not be judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// One line for each.
    pub not_met: Vec<String>,
    /// One line for each.
    pub not_judged: Vec<String>,
    /// How many there are.
    pub met: usize,
}

/// Judges all bars.
pub fn check(rows: &[Row]) -> Verdict {
    let mut verdict = Verdict::default();
    for row in rows {
        for bar in &row.bars {
            let line = format!("{}: {}", row.id, bar.text(row.better));
            match bar.met {
                Some(true) => verdict.met += 1,
                Some(false) => verdict.not_met.push(line),
                None => verdict.not_judged.push(line),
            }
        }
    }
    verdict
}

/// How a row differs from the same row of an earlier run.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The row.
    pub id: String,
    /// pinfold then and now.
    pub ours: (f64, f64),
    /// How much better now, as a share: -0.1 is 10 % worse.
    pub better_by: f64,
    /// The same of what the machine itself does: of the floor, or without one of the
    /// rival in the middle.
    pub machine_by: f64,
    /// What the rounds of the two runs differ among themselves.
    pub noise: f64,
}

impl Change {
    /// Worse than noise explains, and worse also beside what the machine did.
    pub fn is_regression(&self) -> bool {
        self.better_by < -self.noise && self.better_by - self.machine_by < -self.noise
    }

    /// The same, the other way.
    pub fn is_gain(&self) -> bool {
        self.better_by > self.noise && self.better_by - self.machine_by > self.noise
    }
}

/// The least change that means something, however alike the rounds were.
const LEAST_NOISE: f64 = 0.03;

/// The changes of all rows that both runs have.
pub fn changes(before: &[Row], now: &[Row]) -> Vec<Change> {
    let pairs = now.iter().filter_map(|row| {
        let old = before.iter().find(|old| old.id == row.id)?;
        Some((old, row))
    });
    pairs.filter_map(|(old, row)| change(old, row)).collect()
}

fn change(old: &Row, now: &Row) -> Option<Change> {
    if old.unit != now.unit {
        return None;
    }
    let better_by = |old: f64, new: f64| match now.better {
        Better::Higher => new / old - 1.0,
        Better::Lower => old / new - 1.0,
    };
    let ours = old.ours.zip(now.ours)?;
    let mut others: Vec<f64> = now
        .rivals
        .iter()
        .filter_map(|(name, new)| Some(better_by((*old.rivals.get(name)?)?, (*new)?)))
        .collect();
    others.sort_by(f64::total_cmp);
    let middle = others.get(others.len() / 2).copied();
    let floor = old
        .floor
        .zip(now.floor)
        .map(|(old, new)| better_by(old, new));
    let spread = |row: &Row| row.spread.ours.unwrap_or(0.0);
    Some(Change {
        id: now.id.clone(),
        ours,
        better_by: better_by(ours.0, ours.1),
        machine_by: floor.or(middle).unwrap_or(0.0),
        noise: (spread(old) + spread(now)).max(LEAST_NOISE),
    })
}

/// The changes as a table, the regressions marked; and how many those are.
pub fn changes_text(before: &Results, now: &Results) -> (String, usize) {
    let mut text = format!("changes against {}\n", before.machine.date);
    if (&before.machine.cpu_model, before.machine.cores)
        != (&now.machine.cpu_model, now.machine.cores)
    {
        text += "  (another machine: differences say little)\n";
    }
    let changes = changes(&before.rows, &now.rows);
    let name = |row: &&Row| row.id.clone();
    let has = |rows: &[Row], id: &str| rows.iter().any(|row| row.id == id);
    let _ = writeln!(
        text,
        "  {:<34} {:>10} {:>10} {:>9} {:>9} {:>8}",
        "", "before", "now", "better by", "machine", "noise"
    );
    for change in &changes {
        let mark = match (change.is_regression(), change.is_gain()) {
            (true, _) => "  REGRESSION",
            (_, true) => "  better",
            _ => "",
        };
        let _ = writeln!(
            text,
            "  {:<34} {:>10} {:>10} {:>7.1} % {:>7.1} % {:>6.1} %{mark}",
            change.id,
            number(change.ours.0),
            number(change.ours.1),
            change.better_by * 100.0,
            change.machine_by * 100.0,
            change.noise * 100.0
        );
    }
    let compared = |id: &str| changes.iter().any(|change| change.id == id);
    let new: Vec<_> = now
        .rows
        .iter()
        .filter(|r| !has(&before.rows, &r.id))
        .collect();
    let gone: Vec<_> = before
        .rows
        .iter()
        .filter(|r| !has(&now.rows, &r.id))
        .collect();
    let unlike: Vec<_> = now
        .rows
        .iter()
        .filter(|r| has(&before.rows, &r.id) && !compared(&r.id))
        .collect();
    for (what, rows) in [
        ("new", new),
        ("not measured now", gone),
        ("not comparable", unlike),
    ] {
        let ids: Vec<String> = rows.iter().map(name).collect();
        if !ids.is_empty() {
            let _ = writeln!(text, "  {what}: {}", ids.join(", "));
        }
    }
    let regressions = changes.iter().filter(|c| c.is_regression()).count();
    (text, regressions)
}

/// All rows, one line each.
pub fn summary(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<34} {:>10} {:>10} {:>10}  {:<26} {:<11} bars\n",
        "", "floor", "ours", "rival", "the best rival", "unit"
    );
    for row in rows {
        let best = best_rival(row);
        let value = |v: Option<f64>| v.map_or("-".to_owned(), number);
        let (met, all) = (
            row.bars.iter().filter(|bar| bar.met == Some(true)).count(),
            row.bars.len(),
        );
        let bars = match all {
            0 => String::new(),
            _ if met == all => format!("{met} of {all} met"),
            _ => format!("{met} of {all} met  <"),
        };
        let line = format!(
            "{:<34} {:>10} {:>10} {:>10}  {:<26} {:<11} {bars}",
            row.id,
            value(row.floor),
            value(row.ours),
            value(best.map(|b| b.1)),
            best.map_or("", |b| b.0),
            row.unit,
        );
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn best_rival(row: &Row) -> Option<(&str, f64)> {
    let all = row
        .rivals
        .iter()
        .filter_map(|(name, v)| Some((name.as_str(), (*v)?)));
    match row.better {
        Better::Higher => all.max_by(|a, b| a.1.total_cmp(&b.1)),
        Better::Lower => all.min_by(|a, b| a.1.total_cmp(&b.1)),
    }
}

/// The same as Markdown, with every rival and every bar.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    for line in results.machine.text().lines() {
        let _ = writeln!(text, "{line}  ");
    }
    text += "\n| id | question | unit | floor | pinfold | rivals | bars |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- |\n";
    for row in &results.rows {
        let with_spread = |value: Option<f64>, spread: Option<f64>| match value {
            Some(value) => {
                let half = spread.unwrap_or(0.0) * 50.0;
                format!("{} ± {half:.0} %", number(value))
            }
            None => "–".to_owned(),
        };
        let rivals: Vec<String> = row
            .rivals
            .iter()
            .map(|(name, value)| {
                let spread = row.spread.rivals.get(name).copied();
                format!("{name} {}", with_spread(*value, spread))
            })
            .collect();
        let bars: Vec<String> = row.bars.iter().map(|bar| bar.text(row.better)).collect();
        let cells = [
            row.id.clone(),
            row.question.clone(),
            row.unit.clone(),
            with_spread(row.floor, row.spread.floor),
            with_spread(row.ours, row.spread.ours),
            rivals.join("<br>"),
            bars.join("<br>"),
        ];
        let _ = writeln!(
            text,
            "| {} |",
            cells.map(|c| c.replace('|', "\\|")).join(" | ")
        );
    }
    let missing = results.rows.iter().flat_map(|row| {
        let whys = row.missing.iter();
        whys.map(move |(name, why)| format!("{}, {name}: {why}", row.id))
    });
    let missing: Vec<String> = missing.collect();
    if !missing.is_empty() {
        let _ = write!(text, "\nNot measured:\n\n- {}\n", missing.join("\n- "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Results, change, changes_text, check, markdown, summary};
    use crate::machine::Machine;
    use crate::race::{Against, Question, Race};
    use crate::row::Row;

    fn row(ours: f64, rival: f64) -> Row {
        let mut race = Race::new([
            Question::higher("x.rate", "a rate", "M/s").bar(Against::Rival("other"), 2.0)
        ]);
        race.ours("pinfold", move || ours);
        race.rival("other", move || rival);
        race.missing("absent", "not installed");
        race.run(2).remove(0)
    }

    #[test]
    fn regressions_are_told_from_noise_and_from_the_machine() {
        let judge = |old: Row, new: Row| {
            let change = change(&old, &new).expect("the same row");
            (change.is_regression(), change.is_gain())
        };
        assert_eq!(judge(row(10.0, 5.0), row(8.0, 5.0)), (true, false));
        assert_eq!(judge(row(10.0, 5.0), row(9.9, 5.0)), (false, false));
        assert_eq!(judge(row(10.0, 5.0), row(13.0, 5.0)), (false, true));
        // Everything became slower: that is the machine.
        assert_eq!(judge(row(10.0, 5.0), row(8.0, 4.0)), (false, false));
        let mut noisy = row(8.0, 5.0);
        noisy.spread.ours = Some(0.4);
        assert_eq!(judge(row(10.0, 5.0), noisy), (false, false));
    }

    #[test]
    fn texts_name_everything() {
        let results = |rows| Results {
            machine: Machine::read(false),
            rows,
        };
        let before = results(vec![row(10.0, 4.0)]);
        let mut other = row(1.0, 1.0);
        other.id = "x.other".into();
        let now = results(vec![row(7.0, 4.0), other]);
        let verdict = check(&now.rows);
        assert_eq!((verdict.met, verdict.not_met.len()), (0, 2));
        let (text, regressions) = changes_text(&before, &now);
        assert_eq!(regressions, 1);
        assert!(text.contains("REGRESSION") && text.contains("new: x.other"));
        assert!(summary(&now.rows).contains("0 of 1 met"));
        let markdown = markdown(&now);
        assert!(markdown.contains("| x.rate |") && markdown.contains("absent: not installed"));
        let json = serde_json::to_string(&now).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Results>(&json).expect("the same"),
            now
        );
    }
}
