//! One Rust file, read the way the rules need it: tokens without comments and
//! texts, comments by line, and which lines are test code.
//!
//! This is a reader for rules, not a compiler: it knows strings, characters,
//! lifetimes, nested comments, attributes and matching braces, and nothing else.

/// A file and what the rules ask about it. Lines count from 1 everywhere.
pub struct Source {
    /// Relative to the repository, with `/` separators.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    comments: Vec<String>,
    test_code: Vec<bool>,
}

/// A word, a `::`, or one character; a text or character literal is `""`.
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// The lines of one function, its documentation included.
pub struct Function {
    pub documentation: usize,
    pub start: usize,
    pub end: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (tokens, comments) = lex(text);
        let mut source = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            test_code: vec![is_test_path(path); comments.len()],
            tokens,
            comments,
        };
        source.mark_test_code();
        source
    }

    pub fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    /// The comments between two lines, both included.
    pub fn comments(&self, first: usize, last: usize) -> impl Iterator<Item = &str> {
        let last = last.min(self.comments.len() - 1);
        self.comments[first.max(1)..=last]
            .iter()
            .map(String::as_str)
    }

    pub fn is_test_code(&self, line: usize) -> bool {
        self.test_code[line]
    }

    /// The text of the token at `index`, or nothing past the end.
    pub fn at(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| &token.text)
    }

    /// Whether the tokens from `index` on are these.
    pub fn follows(&self, index: usize, wanted: &[&str]) -> bool {
        wanted
            .iter()
            .enumerate()
            .all(|(offset, text)| self.at(index + offset) == *text)
    }

    /// The first line of the comments and attributes that stand directly above `line`.
    pub fn start_of_documentation(&self, line: usize) -> usize {
        let lines: Vec<&str> = self.text.lines().take(line - 1).collect();
        let above = lines.iter().rev().take_while(|text| {
            let text = text.trim_start();
            text.starts_with("//") || text.starts_with("#[")
        });
        line - above.count()
    }

    /// Every function that has a body; inner ones come after the one they stand in.
    pub fn functions(&self) -> Vec<Function> {
        let starts = (0..self.tokens.len()).filter(|&index| {
            // Without a name it is a type, as in `f: fn(u64) -> u64`.
            self.at(index) == "fn" && is_word(self.at(index + 1))
        });
        starts
            .filter_map(|index| {
                let end = self.end_of_item(index);
                let start = self.tokens[index].line;
                (self.at(end) == "}").then(|| Function {
                    documentation: self.start_of_documentation(start),
                    start,
                    end: self.tokens[end].line,
                })
            })
            .collect()
    }

    /// The index of the token that ends the item which begins at `index`:
    /// its `;`, or the `}` of its body.
    fn end_of_item(&self, mut index: usize) -> usize {
        let mut depth = 0;
        while index < self.tokens.len() {
            match self.at(index) {
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                "{" if depth == 0 => return self.closing_brace(index),
                ";" | "}" if depth == 0 => return index,
                _ => {}
            }
            index += 1;
        }
        self.tokens.len().saturating_sub(1)
    }

    fn closing_brace(&self, open: usize) -> usize {
        let mut depth = 0;
        for index in open..self.tokens.len() {
            match self.at(index) {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return index;
            }
        }
        self.tokens.len() - 1
    }

    fn mark_test_code(&mut self) {
        let mut index = 0;
        while index < self.tokens.len() {
            let inner = self.follows(index, &["#", "!", "["]);
            if !inner && !self.follows(index, &["#", "["]) {
                index += 1;
                continue;
            }
            let open = index + 1 + usize::from(inner);
            let close = self.closing_bracket(open);
            if self.is_test_attribute(open + 1, close) {
                let (first, last) = if inner {
                    (1, self.test_code.len() - 1)
                } else {
                    let item = self.skip_attributes(close + 1);
                    (
                        self.tokens[index].line,
                        self.tokens[self.end_of_item(item)].line,
                    )
                };
                self.test_code[first..=last].fill(true);
            }
            index = close + 1;
        }
    }

    fn skip_attributes(&self, mut index: usize) -> usize {
        while self.follows(index, &["#", "["]) {
            index = self.closing_bracket(index + 1) + 1;
        }
        index
    }

    fn closing_bracket(&self, open: usize) -> usize {
        let mut depth = 0;
        for index in open..self.tokens.len() {
            match self.at(index) {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return index;
            }
        }
        self.tokens.len() - 1
    }

    /// `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`, but not `#[cfg(not(test))]`.
    fn is_test_attribute(&self, first: usize, close: usize) -> bool {
        if self.at(first) == "test" && first + 1 == close {
            return true;
        }
        self.at(first) == "cfg"
            && (first..close)
                .any(|index| self.at(index) == "test" && !self.follows(index - 2, &["not", "("]))
    }
}

/// Files that hold nothing but tests: `foo/tests.rs`, `foo/tests/…`, and the models of `foo/model.rs`,
/// `foo/model/…`.
fn is_test_path(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, "tests" | "tests.rs" | "model" | "model.rs"))
}

pub fn is_word(text: &str) -> bool {
    text.bytes().next().is_some_and(begins_word)
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Tokens, and for each line (the first entry is line 0 and stays empty) its comments.
fn lex(text: &str) -> (Vec<Token>, Vec<String>) {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut comments = vec![String::new(); text.lines().count() + 2];
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let rest = &text[at..];
        let byte = bytes[at];
        let mut token = None;
        let length = if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            comments[line].push_str(&rest[..length]);
            length
        } else if rest.starts_with("/*") {
            let length = block_comment(rest);
            for (offset, part) in rest[..length].split('\n').enumerate() {
                comments[line + offset].push_str(part);
            }
            length
        } else if let Some(length) = text_literal(rest).or_else(|| character_literal(rest)) {
            token = Some("\"\"");
            length
        } else if byte == b'\'' {
            // A lifetime or a label: no rule asks for its name.
            1 + word(&rest[1..])
        } else if begins_word(byte) {
            let length = word(rest);
            token = Some(&rest[..length]);
            length
        } else if rest.starts_with("::") {
            token = Some("::");
            2
        } else {
            if !byte.is_ascii_whitespace() {
                token = Some(&rest[..1]);
            }
            1
        };
        tokens.extend(token.map(|text| Token {
            text: text.to_owned(),
            line,
        }));
        line += rest[..length].matches('\n').count();
        at += length;
    }
    (tokens, comments)
}

fn word(rest: &str) -> usize {
    rest.bytes().take_while(|&byte| begins_word(byte)).count()
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let two = rest.as_bytes().get(at..at + 2).unwrap_or_default();
        match two {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of `"…"`, `b"…"`, `c"…"`, `r#"…"#` and their mixtures at the start of `rest`.
fn text_literal(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""]
        .into_iter()
        .find(|&p| rest.starts_with(p))?;
    let after = &rest[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = after.bytes().take_while(|&byte| byte == b'#').count();
        let body = after[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let opening = prefix.len() + hashes + 1;
        return Some(
            body.find(&end)
                .map_or(rest.len(), |length| opening + length + end.len()),
        );
    }
    let body = after.strip_prefix('"')?;
    Some(prefix.len() + 1 + quoted(body, b'"'))
}

/// The length of `'x'`, `'\n'` or `b'x'` at the start of `rest`; a lifetime is none.
fn character_literal(rest: &str) -> Option<usize> {
    let prefix = usize::from(rest.starts_with("b'"));
    let body = rest[prefix..].strip_prefix('\'')?;
    let first = body.chars().next()?;
    if first == '\\' || body[first.len_utf8()..].starts_with('\'') {
        return Some(prefix + 1 + quoted(body, b'\''));
    }
    None
}

/// How far it is past the closing quote, when `body` begins after the opening one.
fn quoted(body: &str, quote: u8) -> usize {
    let bytes = body.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    body.len()
}
