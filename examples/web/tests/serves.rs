//! The server from outside: an answer, a time limit, a client that goes away, and SIGTERM.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    stream
}

fn get(address: &str, path: &str) -> String {
    let mut answer = String::new();
    ask(address, path).read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn requests_are_tasks() {
    let mut server = Server(
        Command::new(env!("CARGO_BIN_EXE_pinfold-web"))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut out = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let first = out.next().unwrap().unwrap();
    let address = first.strip_prefix("listening on ").unwrap().to_owned();
    let answer = get(&address, "/primes/1000");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("168\n"), "{answer}");
    let answer = get(&address, "/primes/18446744073709551615");
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    // A client goes away: its task ends long before its time.
    let gone = ask(&address, "/primes/18446744073709551615");
    let begin = Instant::now();
    let wait_for = |what: &str| {
        while !get(&address, "/health").contains(what) {
            assert!(begin.elapsed() < LONG, "not {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for("in flight 1");
    drop(gone);
    wait_for("in flight 0");
    // Told to end, it answers what is there, and leaves.
    let pid = server.0.id().to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(told.unwrap().success());
    assert!(server.0.wait().unwrap().success());
    assert_eq!(out.next().unwrap().unwrap(), "ended");
}
