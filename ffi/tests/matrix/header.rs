//! What a header declares, as far as calls can be written from it. It reads what cbindgen writes,
//! not C.

use std::collections::BTreeSet;

use super::Callbacks;

pub struct Parameter {
    /// As in C, with one space before the stars.
    pub kind: String,
    pub name: String,
    pub documentation: String,
}

pub struct Function {
    pub name: String,
    pub returns: String,
    pub parameters: Vec<Parameter>,
    pub documentation: String,
}

pub struct Header {
    pub functions: Vec<Function>,
    pub callbacks: Callbacks,
    /// What handles are of, without `pinfold_`.
    kinds: BTreeSet<String>,
    structs: Vec<(String, Vec<Parameter>)>,
}

impl Parameter {
    /// Of `const char *name`.
    fn read(text: &str, documentation: &str) -> Self {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let end = text
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or_else(|| panic!("`{text}` declares something"));
        Parameter {
            kind: text[..=end].trim().to_owned(),
            name: text[end + 1..].to_owned(),
            documentation: documentation.to_owned(),
        }
    }

    pub fn is_pointer(&self) -> bool {
        self.kind.ends_with('*') || self.kind.ends_with("*const")
    }

    pub fn is_text(&self) -> bool {
        self.kind == "const char *"
    }

    pub fn is_number(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "size_t" | "uint64_t" | "uint32_t" | "int32_t" | "int64_t" | "int" | "pinfold_status"
        ) || (self.kind.starts_with("pinfold_") && !self.is_pointer())
    }
}

impl Function {
    /// Whether the number there is the length of the memory before it.
    pub fn takes_memory(&self, at: usize) -> bool {
        at > 0 && self.parameters[at - 1].is_pointer()
    }
}

impl Header {
    pub fn read(text: &str) -> Self {
        let mut header = Header {
            functions: Vec::new(),
            callbacks: Callbacks::new(),
            kinds: BTreeSet::new(),
            structs: Vec::new(),
        };
        for (documentation, statement) in statements(text) {
            header.add(&documentation, &statement);
        }
        header
    }

    fn add(&mut self, documentation: &str, statement: &str) {
        if let Some(rest) = statement.strip_prefix("typedef struct ")
            && !rest.contains('{')
            && let Some((_, name)) = rest.split_once(' ')
        {
            self.kinds
                .insert(name.trim_start_matches("pinfold_").to_owned());
        } else if let Some(rest) = statement.strip_prefix("typedef struct {") {
            let (fields, name) = rest.rsplit_once('}').expect("a struct ends");
            let fields = statements(&fields.replace("\u{1}", "\n"))
                .iter()
                .map(|(documentation, field)| Parameter::read(field, documentation))
                .collect();
            self.structs.push((name.trim().to_owned(), fields));
        } else if let Some(rest) = statement.strip_prefix("typedef ") {
            if let Some((returns, rest)) = rest.split_once(" (*")
                && let Some((name, parameters)) = rest.split_once(")(")
            {
                let parameters = parameters.trim_end_matches(')').to_owned();
                self.callbacks
                    .insert(name.to_owned(), (returns.to_owned(), parameters));
            }
        } else if let Some((start, rest)) = statement.split_once('(')
            && let declared = Parameter::read(start, "")
            && declared.name.starts_with("pinfold_")
        {
            let parameters = rest.trim_end_matches(')');
            let parameters = match parameters {
                "void" => Vec::new(),
                _ => parameters
                    .split(',')
                    .map(|parameter| Parameter::read(parameter, ""))
                    .collect(),
            };
            self.functions.push(Function {
                name: declared.name,
                returns: declared.kind,
                parameters,
                documentation: documentation.to_owned(),
            });
        }
    }

    /// What a `pinfold_task *` is a handle of: "task".
    pub fn handle(&self, kind: &str) -> Option<String> {
        let name = kind.strip_suffix(" *")?.trim_start_matches("const ");
        let name = name.strip_prefix("pinfold_")?;
        self.kinds.contains(name).then(|| name.to_owned())
    }

    /// The struct and its fields that a `const pinfold_config *` points to.
    pub fn settings(&self, kind: &str) -> Option<(&str, &[Parameter])> {
        let name = kind.strip_prefix("const ")?.strip_suffix(" *")?;
        let (name, fields) = self.structs.iter().find(|(own, _)| own == name)?;
        (fields.first()?.name == "size").then_some((name.as_str(), &fields[..]))
    }

    /// Whether the number there says how long some memory is that the function reads.
    pub fn is_length_of_input(&self, function: &Function, at: usize) -> bool {
        function.takes_memory(at) && {
            let memory = &function.parameters[at - 1];
            memory.kind.starts_with("const ") || memory.kind.ends_with("*const *")
        }
    }
}

/// Each with the comment before it; without the lines for the preprocessor.
fn statements(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let (mut documentation, mut statement, mut in_comment) = (String::new(), String::new(), false);
    let mut depth = 0;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("/*") && depth == 0 {
            documentation.clear();
            in_comment = true;
        }
        if depth == 0 && (in_comment || line.starts_with("/*")) {
            documentation.push_str(line.trim_start_matches(['/', '*', ' ']));
            documentation.push(' ');
            in_comment = !line.ends_with("*/");
            continue;
        }
        if line.starts_with('#') || line.starts_with("extern \"C\"") || line.is_empty() {
            continue;
        }
        // What follows the declarations: macros, which are of more than one line.
        if line.ends_with('\\') {
            continue;
        }
        depth += line.matches('{').count();
        depth = depth.saturating_sub(line.matches('}').count());
        let line = line.split("//").next().unwrap_or(line).trim_end();
        statement.push_str(line);
        if depth == 0 && line.ends_with(';') {
            let whole = statement.trim_end_matches(';').to_owned();
            all.push((std::mem::take(&mut documentation), whole));
            statement.clear();
        } else if depth == 0 && line == "}" {
            statement.clear();
        } else if depth > 0 {
            statement.push('\u{1}');
        } else {
            statement.push(' ');
        }
    }
    all
}
