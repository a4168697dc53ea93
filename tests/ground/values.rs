//! A value arrives as it was sent, or is refused by an error that names its type and the reason; and errors are whole.

use std::collections::HashMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use libtest_mimic::Trial;
use pinfold::{Retry, Runtime, Shutdown, TaskError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![
        test("values::what_serde_leaves_out_comes_back", left_out),
        test("values::who_asks_what_was_written_is_answered", asked),
        test("values::each_way_to_send_brings_it_back", each_way),
        test("values::reasons_and_types_are_named", reasons),
        test("values::too_deep_is_an_error_in_host_and_worker", deep),
        test("values::what_claims_to_be_endless_is_refused", endless),
        test("values::no_error_is_cut", whole_words),
        test(
            "values::a_deadline_between_attempts_tells_the_last",
            between,
        ),
    ]
}

pub fn programs() -> Vec<Program> {
    Vec::new()
}

fn runtime(cap: u64) -> Runtime {
    let builder = Runtime::builder().workers(2).memory_cap(cap);
    builder.on_drop(Shutdown::Abort).start().expect("starts")
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Page {
    #[serde(default, skip_serializing_if = "is_zero")]
    offset: u64,
    ids: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Variants {
    A,
    #[serde(skip)]
    #[allow(dead_code)]
    Hidden,
    C,
    D(Option<Option<u8>>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    page: Page,
    #[serde(flatten)]
    rest: HashMap<String, IpAddr>,
    z: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    N(u64),
    S(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    A,
    B { page: Page },
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn same<T>(value: T) -> T {
    value
}

/// It comes back from a task, and from a task's task; a task sees it as it is.
fn travels<T>(rt: &Runtime, value: T)
where
    T: Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + 'static,
{
    for _ in 0..2 {
        assert_eq!(rt.spawn(same, value.clone()).join(), Ok(value.clone()));
        let shown = rt.spawn(|value: T| format!("{value:?}"), value.clone());
        assert_eq!(shown.join(), Ok(format!("{value:?}")));
    }
    let nested = |value: T| {
        pinfold::spawn(same, value)
            .join()
            .map_err(|e| e.to_string())
    };
    assert_eq!(rt.spawn(nested, value.clone()).join(), Ok(Ok(value)));
}

fn page(offset: u64) -> Page {
    let ids = vec![1, 7];
    Page { offset, ids }
}

fn left_out() {
    let rt = runtime(64 << 20);
    travels(&rt, page(0));
    travels(&rt, page(5));
    travels(&rt, vec![page(0), page(1), page(0)]);
    travels(&rt, Variants::C);
    travels(&rt, Variants::D(Some(None)));
    travels(&rt, (Variants::A, vec![Variants::C; 100]));
    travels(
        &rt,
        Page {
            offset: 0,
            ids: vec![u64::MAX; 1000],
        },
    );
}

fn asked() {
    let rt = runtime(64 << 20);
    let rest = HashMap::from([("a".to_owned(), IpAddr::from([10, 0, 0, 1]))]);
    travels(
        &rt,
        Flat {
            page: page(0),
            rest,
            z: 3,
        },
    );
    travels(&rt, Untagged::N(3));
    travels(&rt, Untagged::S("text".into()));
    travels(&rt, Tagged::A);
    travels(&rt, Tagged::B { page: page(0) });
    travels(
        &rt,
        serde_json::json!({ "a": [1, -2, 0.5, null, true, "text"], "b": {} }),
    );
    travels(&rt, Err::<u8, _>(Untagged::N(7)));
}

fn each_way() {
    let rt = runtime(64 << 20);
    let pages: Vec<_> = (0..100).map(|n| page(n % 3)).collect();
    let came: Result<Vec<_>, _> = rt.map(same, pages.clone()).collect();
    assert_eq!(came, Ok(pages.clone()));
    let came: Result<Vec<_>, _> = rt.task(same).chunked().map(pages.clone()).collect();
    assert_eq!(came, Ok(pages.clone()));
    // As inputs, short and long, and beside arguments of the same kind.
    let (short, long) = (rt.spawn(same, page(0)), rt.spawn(same, pages.clone()));
    let both = rt.task(|(own, (short, long)): (Page, (Page, Vec<Page>))| (own, short, long));
    let came = both.spawn_after((&short, &long), page(0)).join();
    assert_eq!(came, Ok((page(0), page(0), pages)));
    let several: Vec<_> = (0..5).map(|n| rt.spawn(same, page(n))).collect();
    let sum = rt.task(|(start, pages): (u64, Vec<Page>)| {
        pages.iter().fold(start, |sum, page| sum + page.offset)
    });
    assert_eq!(
        sum.spawn_after(several.iter().collect::<Vec<_>>(), 1)
            .join(),
        Ok(11)
    );
    // With a name, tries again, and remembered.
    let named = rt.task(same).named("its name").at_least_once();
    assert_eq!(named.spawn(page(0)).join(), Ok(page(0)));
    let known = pinfold::Memo::new(4);
    let remembered = rt.task(same).memoized(&known);
    for _ in 0..2 {
        assert_eq!(remembered.spawn(page(0)).join(), Ok(page(0)));
    }
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Even(u32);

impl TryFrom<u32> for Even {
    type Error = String;
    fn try_from(n: u32) -> Result<Self, String> {
        match n % 2 {
            0 => Ok(Even(n)),
            _ => Err(format!("{n} is not an even number")),
        }
    }
}

impl From<Even> for u32 {
    fn from(even: Even) -> u32 {
        even.0
    }
}

#[derive(Debug, PartialEq, Clone, Deserialize)]
struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("the connection is closed"))
    }
}

fn reasons() {
    let rt = runtime(64 << 20);
    let told = |error: TaskError, parts: &[&str]| {
        let is_one = matches!(
            error,
            TaskError::Arguments { .. } | TaskError::Result { .. }
        );
        let words = error.to_string();
        assert!(
            is_one && parts.iter().all(|part| words.contains(part)),
            "{words}"
        );
    };
    let closed = "the connection is closed";
    let argument = rt.spawn(|_: Refuses| (), Refuses).join().unwrap_err();
    told(
        argument,
        &["arguments", "values::Refuses", "reasons", closed],
    );
    let result = rt.spawn(|(): ()| Refuses, ()).join().unwrap_err();
    told(result, &["result", "values::Refuses", "reasons", closed]);
    for n in [3, 4, 5] {
        let argument = rt.spawn(|even: Even| even.0, Even(n)).join();
        let result = rt.spawn(|n: u32| Even(n), n).join();
        if n % 2 == 0 {
            assert_eq!((argument, result), (Ok(n), Ok(Even(n))));
        } else {
            let odd = format!("{n} is not an even number");
            told(argument.unwrap_err(), &["arguments", "values::Even", &odd]);
            told(result.unwrap_err(), &["result", "values::Even", &odd]);
        }
    }
    use std::os::unix::ffi::OsStringExt;
    let path = std::path::PathBuf::from(std::ffi::OsString::from_vec(vec![0xff]));
    let argument = rt
        .spawn(|_: std::path::PathBuf| (), path)
        .join()
        .unwrap_err();
    told(argument, &["PathBuf", "path contains invalid UTF-8"]);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum List {
    Nil,
    Cons(Box<List>),
}

fn list(len: usize) -> List {
    (0..len).fold(List::Nil, |list, _| List::Cons(Box::new(list)))
}

fn len_of(mut list: List) -> usize {
    let mut len = 0;
    while let List::Cons(next) = list {
        list = *next;
        len += 1;
    }
    len
}

/// Writes what a list of this length is written as, and reads a list.
struct Deep(usize, Option<List>);

impl Serialize for Deep {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut bytes = s.serialize_tuple(self.0 + 1)?;
        (0..self.0).try_for_each(|_| bytes.serialize_element(&1_u8))?;
        bytes.serialize_element(&0_u8)?;
        bytes.end()
    }
}

impl<'de> Deserialize<'de> for Deep {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Deep(0, Some(List::deserialize(d)?)))
    }
}

fn deep() {
    let rt = runtime(64 << 20);
    let rt = &rt;
    let on_a_small_stack = || {
        let came = rt.spawn(list, 10_000).join().map(len_of);
        assert_eq!(came, Ok(10_000));
        assert_eq!(rt.spawn(len_of, list(10_000)).join(), Ok(10_000));
        for len in [100_000, 1_000_000] {
            let result = rt.spawn(list, len).join().map(len_of).unwrap_err();
            assert!(result.to_string().contains("nested more than"), "{result}");
            let argument = rt.spawn(len_of, list(len)).join().unwrap_err();
            assert!(
                argument.to_string().contains("nested more than"),
                "{argument}"
            );
            let other = rt.spawn(|len: usize| Deep(len, None), len).join();
            assert!(other.map(|deep| deep.1.map(len_of)).is_err());
        }
        assert_eq!(rt.spawn(same, 7).join(), Ok(7));
    };
    std::thread::scope(|scope| scope.spawn(on_a_small_stack).join()).expect("no stack overflows");
    assert_eq!(rt.stats().restarts, 0, "nor in a worker");
}

/// Writes a number, and reads as many elements of no size.
#[derive(Debug)]
struct Claims(u64);

impl Serialize for Claims {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Claims(Vec::<()>::deserialize(d)?.len() as u64))
    }
}

fn endless() {
    let rt = runtime(64 << 20);
    for claim in [1_u64 << 60, 1_000_000_000, 100_000_000] {
        let mut result = rt.spawn(Claims, claim);
        let ended = result
            .join_timeout(Duration::from_secs(20))
            .expect("in time");
        assert!(ended.is_err(), "{ended:?}");
        assert!(
            rt.spawn(|claims: Claims| claims.0, Claims(claim))
                .join()
                .is_err()
        );
    }
    assert_eq!(
        rt.spawn(|n: usize| vec![(); n], 1000).join(),
        Ok(vec![(); 1000])
    );
}

fn whole_words() {
    let rt = runtime(4 << 20);
    let large = rt
        .spawn(|n: usize| vec![1_u8; n], 8 << 20)
        .join()
        .unwrap_err();
    assert!(matches!(large, TaskError::OutOfMemory { .. }));
    let words = large.to_string();
    assert!(
        words.contains("8388") && words.ends_with("raise `memory_cap`"),
        "{words}"
    );
    // Memory is full: what is said is short, and what it is.
    let mut kept = Vec::new();
    for size in [64 << 10, 8 << 10, 1 << 10, 64] {
        while let Ok(buffer) = rt.alloc(size) {
            kept.push(buffer);
        }
    }
    let panics = |(): ()| -> () { panic!("{}", "too many words ".repeat(50)) };
    match rt.spawn(panics, ()).join() {
        Err(TaskError::Panicked {
            message, location, ..
        }) => {
            assert!(
                message.starts_with("too many") && message.ends_with('…'),
                "{message}"
            );
            assert!(location.contains("values.rs:"), "{location}");
        }
        other => panic!("{other:?}"),
    }
    let full = rt.spawn(|(): ()| vec![1_u8; 100], ()).join().unwrap_err();
    assert!(matches!(full, TaskError::OutOfMemory { .. }));
    assert!(full.to_string().ends_with("raise `memory_cap`"), "{full}");
    let refused = rt.spawn(|(): ()| Refuses, ()).join().unwrap_err();
    assert!(matches!(refused, TaskError::Result { .. }), "{refused}");
    assert!(refused.to_string().ends_with("to tell why"), "{refused}");
    drop(kept);
    assert_eq!(
        rt.spawn(|(): ()| vec![1_u8; 100], ()).join(),
        Ok(vec![1; 100])
    );
}

fn between() {
    let rt = runtime(64 << 20);
    let fails = |(): ()| Err::<(), _>("the real reason".to_owned());
    let late = rt
        .task(fails)
        .retry(Retry::fixed(5, Duration::from_secs(100)))
        .hard_deadline(Duration::from_millis(300))
        .spawn(())
        .join()
        .unwrap_err();
    let words = late.to_string();
    assert!(
        matches!(late, TaskError::DeadlineExceeded { begun: true, .. }),
        "{late:?}"
    );
    assert!(words.contains("the real reason"), "{words}");
}
