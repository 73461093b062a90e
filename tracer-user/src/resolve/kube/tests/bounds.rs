//! Answers that do not end, in bytes or in time.

use super::*;

#[test]
fn a_line_of_a_watch_that_does_not_end_is_given_up_whether_it_is_fast_or_slow() {
    let flood: &'static str = "x".repeat(1 << 20).leak();
    for (how, text, pause) in [
        ("fast", flood, Duration::ZERO),
        ("slow", "x", Duration::from_millis(200)),
    ] {
        let mut run = Run::start(None, move |ask| match (ask.is("/pods"), ask.is_watch()) {
            (true, true) if ask.before == 0 => Reply::Endless(text, pause),
            (true, true) => Reply::Lines(vec![change("ADDED", &pod(3, 78))]),
            _ => nothing(ask),
        });
        run.until(how, |told| has(told, "pod p3"));
    }
}

#[test]
fn a_list_that_does_not_end_is_given_up_and_the_others_go_on() {
    let mut run = Run::start(None, |ask| {
        match (ask.is("/pods"), ask.is("/services"), ask.is_watch()) {
            // Each page leads to another one.
            (true, _, false) => Reply::Json(
                200,
                format!(r#"{{"metadata":{{"continue":"{}"}},"items":[]}}"#, ask.before),
            ),
            // One page, byte by byte: it is never silent.
            (_, true, false) => Reply::Endless(" ", Duration::from_millis(200)),
            _ => nothing(ask),
        }
    });
    run.until("both given up", |told| {
        contains(told, "API server pods: its list does not end")
            && contains(told, "API server services: its answer came too slowly")
            && has(told, "listed Nodes")
    });
    assert!(!has(&run.told, "listed Pods") && !has(&run.told, "listed Services"));
}
