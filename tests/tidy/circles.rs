//! No circles among files: what a file imports does not lead back to it.
//!
//! A path leads to the file in which its item is defined: what a `mod.rs` only re-exports is followed
//! to where it comes from. Counted are `use` declarations and paths in code that begin with `crate`,
//! `super`, `self` or a module of the file's own; re-exports are not, and neither is test code. Methods
//! are not seen: that a file calls a method of another one does not show in a path.

use std::collections::{BTreeMap, BTreeSet};

use crate::Violation;
use crate::source::{Source, is_word};

/// A crate (the library, or a program) and the path of a module in it.
type Module = (String, Vec<String>);

/// What the paths of one file say.
#[derive(Default)]
struct File {
    name: String,
    imports: Vec<(Vec<String>, usize)>,
    re_exports: Vec<Vec<String>>,
}

/// Each circle there is.
pub fn check(sources: &[Source]) -> Vec<Violation> {
    let graph = Graph::new(sources);
    let mut found = Vec::new();
    for circle in graph.circles() {
        let names: BTreeSet<&str> = circle.iter().map(|m| &*graph.files[*m].name).collect();
        let (path, line, chain) = graph.shortest(&circle);
        let all = names.iter().copied().collect::<Vec<_>>().join(", ");
        let what = format!("a circle of imports: {chain} (all files in it: {all})");
        found.push(Violation::new(&path, line, what));
    }
    found
}

struct Graph {
    files: BTreeMap<Module, File>,
    /// Where each leads, and in which line.
    edges: BTreeMap<Module, BTreeMap<Module, usize>>,
}

impl Graph {
    fn new(sources: &[Source]) -> Self {
        let mut files = BTreeMap::new();
        for source in sources {
            if let Some(module) = module_of(&source.path)
                && !source.is_test_code(1)
            {
                files.insert(module, read(source));
            }
        }
        let mut graph = Graph {
            files,
            edges: BTreeMap::new(),
        };
        let mut edges = BTreeMap::new();
        for (module, file) in &graph.files {
            let mut own = BTreeMap::new();
            for (path, line) in &file.imports {
                if let Some(to) = graph.resolve(module, path, 0)
                    && to != *module
                {
                    own.entry(to).or_insert(*line);
                }
            }
            edges.insert(module.clone(), own);
        }
        graph.edges = edges;
        graph
    }

    /// The file that defines what `path` names, as seen from `from`.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let (program, here) = from;
        let mut path = path.iter().map(String::as_str).peekable();
        let mut at: Vec<String> = match *path.peek()? {
            "crate" => Vec::new(),
            "self" | "super" => here.clone(),
            first => {
                let mut child = here.clone();
                child.push(first.to_owned());
                self.files
                    .contains_key(&(program.clone(), child))
                    .then(|| here.clone())?
            }
        };
        while let Some(word) = path.next_if(|word| matches!(*word, "crate" | "self" | "super")) {
            if word == "super" {
                at.pop();
            }
        }
        let rest: Vec<&str> = path.collect();
        let mut rest = &rest[..];
        while let Some((first, others)) = rest.split_first() {
            at.push((*first).to_owned());
            if !self.files.contains_key(&(program.clone(), at.clone())) {
                at.pop();
                break;
            }
            rest = others;
        }
        let module = (program.clone(), at);
        let file = self.files.get(&module)?;
        let Some((name, others)) = rest.split_first() else {
            return Some(module);
        };
        let comes_from = |path: &&Vec<String>| path.last().is_some_and(|last| last == name);
        match file.re_exports.iter().find(comes_from) {
            Some(path) if depth < 8 => {
                let mut path = path.clone();
                path.extend(others.iter().map(|word| (*word).to_owned()));
                self.resolve(&module, &path, depth + 1).or(Some(module))
            }
            _ => Some(module),
        }
    }

    /// Files that lead to each other, two or more.
    fn circles(&self) -> Vec<Vec<&Module>> {
        let reach: BTreeMap<&Module, BTreeSet<&Module>> = self
            .files
            .keys()
            .map(|module| (module, self.reach(module)))
            .collect();
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for module in self.files.keys() {
            let leads_back = |other: &&&Module| reach[**other].contains(module);
            let circle: Vec<&Module> = reach[module].iter().filter(leads_back).copied().collect();
            if !circle.is_empty() && !circle.iter().any(|other| seen.contains(other)) {
                seen.extend(circle.iter().copied());
                circles.push(circle);
            }
        }
        circles
    }

    /// Everything that a file leads to, itself only by a circle.
    fn reach<'a>(&'a self, from: &'a Module) -> BTreeSet<&'a Module> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&Module> = self.edges[from].keys().collect();
        while let Some(module) = next.pop() {
            if reached.insert(module) {
                next.extend(self.edges[module].keys());
            }
        }
        reached
    }

    /// The shortest way from one file of the circle back to it: where it begins, and all of it.
    fn shortest(&self, circle: &[&Module]) -> (String, usize, String) {
        let ways = circle.iter().filter_map(|start| {
            let mut ways = vec![vec![*start]];
            let mut seen = BTreeSet::new();
            let mut at = 0;
            while at < ways.len() {
                let way = ways[at].clone();
                for next in self.edges[way[way.len() - 1]].keys() {
                    let mut longer = way.clone();
                    longer.push(next);
                    if next == *start {
                        return Some(longer);
                    }
                    if seen.insert(next) {
                        ways.push(longer);
                    }
                }
                at += 1;
            }
            None
        });
        let way = ways.min_by_key(Vec::len).unwrap_or_default();
        let names: Vec<&str> = way.iter().map(|m| &*self.files[*m].name).collect();
        let [first, second, ..] = way[..] else {
            return (String::new(), 0, String::new());
        };
        let path = format!("src/{}.rs", names[0]);
        (path, self.edges[first][second], names.join(" → "))
    }
}

/// The module that a file of `src` is.
fn module_of(path: &str) -> Option<Module> {
    let inside = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let mut parts: Vec<String> = inside.split('/').map(str::to_owned).collect();
    let mut program = String::new();
    if parts[0] == "bin" {
        let of_program: Vec<String> = parts.drain(..2.min(parts.len())).collect();
        program = of_program.join("/");
    }
    let is_root = |name: &str| matches!(name, "lib" | "main");
    if parts.last().is_some_and(|last| last == "mod") || (parts.len() == 1 && is_root(&parts[0])) {
        parts.pop();
    }
    Some((program, parts))
}

fn read(source: &Source) -> File {
    let inside = source.path.trim_start_matches("src/");
    let mut file = File {
        name: inside.trim_end_matches(".rs").to_owned(),
        ..File::default()
    };
    let mut index = 0;
    while index < source.tokens.len() {
        let line = source.tokens[index].line;
        // Of those that begin otherwise than with a module, `resolve` finds nothing.
        let starts_a_path = |first: char| first.is_ascii_lowercase();
        let is_before = |word: &str, back: usize| index >= back && source.at(index - back) == word;
        let is_path = source.at(index).starts_with(starts_a_path)
            && source.at(index + 1) == "::"
            && !(is_before("::", 1) || is_before(".", 1))
            && !(is_before("in", 1) && is_before("(", 2));
        let is_use = source.at(index) == "use";
        if source.is_test_code(line) || !(is_path || is_use) {
            index += 1;
            continue;
        }
        let mut paths = Vec::new();
        let start = index + usize::from(is_use);
        let is_public = is_use && index > 0 && matches!(source.at(index - 1), "pub" | ")");
        index = follow(source, start, &[], &mut paths).max(index + 1);
        if is_public {
            file.re_exports.extend(paths);
        } else {
            file.imports
                .extend(paths.into_iter().map(|path| (path, line)));
        }
    }
    file
}

/// Reads one path, groups included; returns the index behind it.
fn follow(
    source: &Source,
    mut index: usize,
    before: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = before.to_vec();
    loop {
        match source.at(index) {
            "{" => {
                index += 1;
                while index < source.tokens.len() && source.at(index) != "}" {
                    if source.at(index) == "," {
                        index += 1;
                    } else {
                        index = follow(source, index, &path, found).max(index + 1);
                    }
                }
                return index + 1;
            }
            word if is_word(word) => {
                // `a::{self}` is `a`.
                if word != "self" || path.is_empty() {
                    path.push(word.to_owned());
                }
                index += 1;
            }
            _ => {
                found.push(path);
                return index + 1;
            }
        }
        if source.at(index) != "::" {
            found.push(path);
            // `as d` names it otherwise here.
            return index + if source.at(index) == "as" { 2 } else { 0 };
        }
        index += 1;
    }
}
