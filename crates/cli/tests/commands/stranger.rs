//! Servers that are not as they should be: they break off, are not there yet, or say things that a
//! terminal would obey. Each is a few scripted answers on a socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Mutex};

use super::shell::{Shell, text};

/// Answers requests by a script, and keeps them: the first line, then the headers, then the body.
fn serve(script: impl Fn(&str, usize) -> String + Send + 'static) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Requests::default();
    let kept = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = read(&stream);
            let line = request.lines().next().unwrap_or_default().to_owned();
            let mut seen = kept.0.lock().unwrap();
            let before = seen.iter().filter(|it| it.starts_with(&line)).count();
            seen.push(request);
            stream.write_all(script(&line, before).as_bytes()).unwrap();
        }
    });
    (url, seen)
}

#[derive(Clone, Default)]
struct Requests(Arc<Mutex<Vec<String>>>);

fn read(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |it| it.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    head + &text(&body)
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n{body}")
}

fn run(url: &str, line: &str) -> Output {
    let shell = Shell::local();
    let mut command = shell.command(&line.split_whitespace().collect::<Vec<_>>());
    let command = command.env("JOBWRIGHT_SERVER", url).env_remove("JOBWRIGHT_TOKEN_FILE");
    command.env("JOBWRIGHT_TOKEN", "jw_not_checked_here").output().unwrap()
}

#[test]
fn a_retry_is_a_run_of_what_failed() {
    let (url, seen) = serve(|line, _| match line {
        "POST /v4/jobGroups/7/rerun HTTP/1.1" => {
            answer("201 Created", "application/json", r#"{"data":[{"id":8}]}"#)
        }
        "GET /v4/jobGroups/8 HTTP/1.1" => {
            answer("200 OK", "application/json", r#"{"id":8,"status":"InProgress"}"#)
        }
        _ => answer("404 Not Found", "application/json", r#"{"status":404,"detail":"no"}"#),
    });
    let output = run(&url, "retry 7 --key again --no-headers");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("8  -  -  InProgress"), "{output:?}");
    let seen = seen.0.lock().unwrap().clone();
    assert!(seen[0].contains("idempotency-key: again\r\n"), "{seen:?}");
    assert!(seen[0].contains("authorization: Bearer jw_not_checked_here\r\n"), "{seen:?}");
    let output = run(&url, "retry 9");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn a_stream_that_breaks_is_taken_up_where_it_was() {
    let (url, seen) = serve(|_, before| {
        let event = |id: u32, kind: &str| {
            format!("id: {id}\nevent: jobGroup\ndata: {{\"type\":\"{kind}\",\"seq\":{id}}}\n\n")
        };
        let body = match before {
            0 => event(1, "accepted"),
            1 => return answer("503 Service Unavailable", "application/json", "{}"),
            _ => event(2, "groupEnded") + "event: bye\ndata: {\"reason\":\"ended\"}\n\n",
        };
        answer("200 OK", "text/event-stream", &body)
    });
    let output = run(&url, "events --group 1 --json");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    let kinds: Vec<_> =
        ["accepted", "groupEnded", "ended"].map(|it| out.matches(it).count()).into();
    assert_eq!(kinds, [1, 1, 1], "{out}");
    let seen = seen.0.lock().unwrap();
    let last: Vec<_> = seen.iter().map(|it| it.contains("last-event-id: 1\r\n")).collect();
    assert_eq!(last, [false, true, true]);
}

#[test]
fn what_a_terminal_would_obey_is_not_printed() {
    let (url, _) = serve(|_, _| {
        let body = r#"{"data":[{"id":1,"name":"\u001b]0;mine\u0007\u001b[2Jred\u202e\r\nx"}]}"#;
        answer("200 OK", "application/json", body)
    });
    let output = run(&url, "deployments list --no-headers");
    assert!(text(&output.stdout).starts_with("1  red x  "), "{output:?}");
    let (url, _) = serve(|_, _| {
        let body = r#"{"status":409,"detail":"no \u001b[31mway\u0007"}"#;
        answer("409 Conflict", "application/json", body)
    });
    let output = run(&url, "deployments list");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(8), "error: no way\n".into()));
}

#[test]
fn an_answer_of_somebody_else_is_told_from_one_of_the_api() {
    let check = |status: &'static str, body: &'static str, code: i32, says: &str| {
        let (url, _) = serve(move |_, _| answer(status, "text/html", body));
        let output = run(&url, "deployments show 1");
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{status}: {err}");
        assert!(err.contains(says), "{status}: {err}");
    };
    check("502 Bad Gateway", "<h1>no</h1>", 9, "answers 502 Bad Gateway");
    check("200 OK", "<h1>hello</h1>", 1, "does not speak the jobwright API");
    check("302 Found", "", 1, "answers 302 Found");
}
