//! Each function of the header is called with each of its arguments wrong, one at a time, and all.
//!
//! The calls are a C program that is written from the header: so a new function is called like
//! all others, and is listed nowhere. What is wrong about an argument comes of its type and its
//! name: null; a number that is no handle, a freed one, one of another kind; a length that cannot
//! be; a text that is none; settings of no size, and with each of their fields beyond all bounds.
//! Every call must come to a status with a message of its own, and to none that means a
//! defect. All are made by two threads at once, in a task, in a forked process, and after the runtime's
//! end.

use std::collections::BTreeMap;
use std::fmt::Write;

mod header;

use header::{Function, Header, Parameter};

/// What `prelude.h` makes right objects of; functions of other kinds get none.
const MADE: [&str; 8] = [
    "buffer", "call", "events", "group", "handle", "limit", "runtime", "task",
];
/// The same of what is only there for functions that take one.
const SHARED: [&str; 15] = [
    "barrier",
    "countdown",
    "latch",
    "member",
    "mutex",
    "message",
    "once",
    "oncelock",
    "publisher",
    "router",
    "rwlock",
    "semaphore",
    "subscriber",
    "ticker",
    "waitgroup",
];
/// Numbers that are no handles.
const NO_HANDLES: [&str; 6] = [
    "1",
    "3",
    "0xdeadbeef",
    "UINTPTR_MAX",
    "UINTPTR_MAX / 2",
    "0x100000063",
];

/// The program, from the text of the header.
pub fn program(text: &str) -> String {
    let header = Header::read(text);
    assert!(header.functions.len() > 20, "the header can be read");
    let mut out = String::from(
        "/* Written by the test `matrix` from the header. */\n\
         #pragma GCC diagnostic ignored \"-Wunused-function\"\n\
         #pragma GCC diagnostic ignored \"-Wunused-parameter\"\n\
         #pragma GCC diagnostic ignored \"-Wpedantic\"\n\
         #include \"matrix/prelude.h\"\n\n",
    );
    for (name, (returns, parameters)) in &header.callbacks {
        let _ = writeln!(
            out,
            "static {returns} stub_{name}({parameters}) {{ {} }}",
            match returns.as_str() {
                "void" => "",
                _ => "return 0;",
            }
        );
    }
    let mut names = Vec::new();
    for function in &header.functions {
        // The first thing in `main`, which it was.
        if function.name == "pinfold_init" {
            continue;
        }
        names.push(function.name.clone());
        let _ = writeln!(out, "\nstatic void all_of_{}(void)\n{{", function.name);
        let mut kinds = function
            .parameters
            .iter()
            .filter_map(|parameter| header.handle(&parameter.kind));
        let is_about_shared = kinds.any(|kind| SHARED.contains(&kind.as_str()));
        let _ = writeln!(out, "    is_about_shared = {};", u8::from(is_about_shared));
        calls(&mut out, &header, function);
        out.push_str("}\n");
    }
    out.push_str("\nstatic void all(void)\n{\n");
    for name in names {
        let _ = writeln!(out, "    all_of_{name}();");
    }
    out.push_str("}\n");
    out
}

/// One call: what is wrong, the arguments, what it should come to.
fn call(out: &mut String, function: &Function, what: &str, arguments: &[String], expect: &str) {
    made(
        out,
        function,
        what,
        "",
        arguments,
        &format!("end(s, {expect})"),
    );
}

fn made(
    out: &mut String,
    function: &Function,
    what: &str,
    before: &str,
    arguments: &[String],
    end: &str,
) {
    let name = &function.name;
    let what = what.replace('"', "'");
    let call = format!("{name}({})", arguments.join(", "));
    let call = match function.returns.as_str() {
        "pinfold_status" => format!("int32_t s = (int32_t){call}; {end};"),
        "const char *" => format!("text_is_there({call});"),
        _ => format!("(void){call};"),
    };
    let _ = writeln!(out, "    {{ begin(\"{name}: {what}\"); {before}{call} }}");
}

fn calls(out: &mut String, header: &Header, function: &Function) {
    let right: Vec<String> = function
        .parameters
        .iter()
        .enumerate()
        .map(|(at, parameter)| right(header, parameter, at))
        .collect();
    // In a task, nothing of this may be done; there its null is freed, of which there is nothing to do.
    let outside = function.documentation.contains("not in a task");
    let expect = match outside && !function.name.ends_with("_free") {
        true => "where == IN_TASK ? REFUSED : RIGHT",
        false => "RIGHT",
    };
    call(out, function, "all right", &right, expect);
    for (at, parameter) in function.parameters.iter().enumerate() {
        let one = |value: &str| {
            let mut arguments = right.clone();
            arguments[at] = value.to_owned();
            arguments
        };
        let name = &parameter.name;
        let kind = &parameter.kind;
        if parameter.is_pointer() || header.callbacks.contains_key(kind.as_str()) {
            // Nothing is known of what a callback is called with.
            let expect = match name.as_str() {
                "user" => "ANY",
                _ => "NO_NULL",
            };
            call(out, function, &format!("{name} null"), &one("NULL"), expect);
        }
        if let Some(own) = header.handle(kind) {
            for number in NO_HANDLES {
                let value = format!("({kind})(uintptr_t)({number})");
                let what = format!("{name} {number}");
                call(out, function, &what, &one(&value), "NO_HANDLE");
            }
            for other in MADE
                .iter()
                .filter(|other| **other != own && **other != "call")
            {
                let value = format!("(void *)live.{other}");
                let what = format!("{name} of kind {other}");
                // It may not have been made there.
                let expect = "where == HOST ? NO_HANDLE : ANY";
                call(out, function, &what, &one(&value), expect);
            }
            call(
                out,
                function,
                &format!("{name} freed"),
                &one("(void *)live.freed"),
                "ANY",
            );
        } else if parameter.is_text() {
            call(
                out,
                function,
                &format!("{name} not UTF-8"),
                &one("not_utf8"),
                "ANY",
            );
            call(out, function, &format!("{name} empty"), &one("\"\""), "ANY");
        } else if parameter.is_number() && !header.callbacks.contains_key(kind.as_str()) {
            for number in ["0", "1", "-1", "INT32_MAX", "INT32_MIN"] {
                let value = format!("({kind}){number}");
                // Where there is nothing to read or write, and at a place that is too short for it.
                let what = format!("{name} {number}");
                let wants = match (kind.as_str(), number) {
                    // What cannot be in any memory: it must not be touched.
                    ("size_t", "-1") if header.is_length_of_input(function, at) => "REFUSED",
                    ("size_t", "1" | "-1") => "ANY",
                    ("size_t", "INT32_MAX" | "INT32_MIN") if function.takes_memory(at) => continue,
                    ("size_t", "INT32_MIN") => continue,
                    _ => "ANY",
                };
                call(out, function, &what, &one(&value), wants);
                if at > 0 && function.parameters[at - 1].is_pointer() {
                    let mut arguments = one(&value);
                    arguments[at - 1] = "NULL".into();
                    let what = format!("{what}, the one before null");
                    call(out, function, &what, &arguments, "ANY");
                }
            }
        }
        if let Some((settings, fields)) = header.settings(kind) {
            for size in ["0", "7", "sizeof s_ - 8", "1 << 20", "SIZE_MAX"] {
                let expect = match size {
                    "sizeof s_ - 8" => "ANY",
                    _ => "REFUSED",
                };
                let before = format!("{settings} s_ = {{0}}; s_.size = {size}; ");
                let what = format!("{name}->size {size}");
                let end = format!("end(s, {expect})");
                made(out, function, &what, &before, &one("&s_"), &end);
            }
            for field in fields.iter().filter(|field| field.name != "size") {
                let before = format!("{settings} s_ = {{0}}; s_.size = sizeof s_; ");
                let what = format!("{name}->{}", field.name);
                let is_enum = field.documentation.contains(": a `pinfold_");
                let (set, end) = if field.is_pointer() {
                    continue;
                } else if is_enum {
                    ("2147483647", "end_said(s, REFUSED, \"2147483647\")")
                } else {
                    ("-1", "end(s, ANY)")
                };
                if header.callbacks.contains_key(field.kind.as_str()) {
                    continue;
                }
                let before = format!("{before}s_.{} = ({}){set}; ", field.name, field.kind);
                made(out, function, &what, &before, &one("&s_"), end);
            }
        }
    }
    let zeros: Vec<String> = function
        .parameters
        .iter()
        .map(|parameter| match parameter.is_pointer() {
            true => "NULL".into(),
            false => "0".into(),
        })
        .collect();
    call(out, function, "all zero", &zeros, "ANY");
}

/// An argument that is right, as far as its type tells.
fn right(header: &Header, parameter: &Parameter, at: usize) -> String {
    let kind = &parameter.kind;
    if let Some(own) = header.handle(kind) {
        let all = MADE.iter().chain(&SHARED);
        return match all.into_iter().any(|made| *made == own) {
            true => format!("live.{own}"),
            false => "NULL".into(),
        };
    }
    if header.callbacks.contains_key(kind.as_str()) {
        return format!("stub_{kind}");
    }
    if header.settings(kind).is_some() {
        return "NULL".into();
    }
    if parameter.is_text() {
        return "\"nothing\"".into();
    }
    if parameter.is_pointer() {
        return format!("(void *)room[{at}]");
    }
    match parameter.name.as_str() {
        "len" | "capacity" => "64".into(),
        "count" | "root" => "0".into(),
        // A wait that would never end is no mistake.
        "timeout" => "1000000".into(),
        _ => "1".into(),
    }
}

/// By name.
type Callbacks = BTreeMap<String, (String, String)>;
