//! Counts tests from what libtest prints.

use std::collections::BTreeSet;

/// Results of tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// Why, one line for each that is known.
    pub(crate) skips: BTreeSet<String>,
    /// What failed, one line each.
    pub(crate) failures: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.skips.extend(other.skips.iter().cloned());
        self.failures.extend(other.failures.iter().cloned());
    }

    /// Counts one failure.
    pub(crate) fn fail(&mut self, what: String) {
        self.failed += 1;
        self.failures.push(what);
    }

    /// Counts one skip.
    pub(crate) fn skip(&mut self, why: String) {
        self.skipped += 1;
        self.skips.insert(why);
    }

    /// The line that sums up.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// Reads the output of test programs line by line.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    tally: Tally,
    /// Names in `SKIPPED:` lines of the current program; its passed tests include them.
    skipped: BTreeSet<String>,
    /// Inside libtest's list of what passing tests printed.
    in_successes: bool,
    /// A program failed in a way that its results tell.
    failed_in_results: bool,
}

impl Reader {
    /// Takes a line; says whether it is worth showing.
    pub(crate) fn feed(&mut self, line: &str) -> bool {
        // Anywhere: libtest may have begun a line with the test's name.
        if let Some((_, skip)) = line.split_once("SKIPPED: ") {
            let name = skip.split(": ").next().unwrap_or(skip);
            if self.skipped.insert(name.to_owned()) {
                self.tally.skips.insert(skip.to_owned());
            }
            return true;
        }
        if let Some([passed, failed, ignored]) = result(line) {
            self.in_successes = false;
            let skipped = u64::try_from(self.skipped.len()).unwrap_or(u64::MAX).min(passed);
            self.skipped.clear();
            self.tally.passed += passed - skipped;
            self.tally.skipped += skipped + ignored;
            self.tally.failed += failed;
            self.failed_in_results |= failed > 0;
            return true;
        }
        self.individual(line);
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ => {}
        }
        !self.in_successes
    }

    /// The programs read so far ended; one that failed without a failed test (a crash, a build error) is a failure.
    pub(crate) fn end(&mut self, success: bool, what: &str) {
        if !success && !self.failed_in_results {
            self.tally.fail(what.to_owned());
        }
        self.failed_in_results = false;
        self.skipped.clear();
        self.in_successes = false;
    }

    pub(crate) fn finish(self) -> Tally {
        self.tally
    }

    /// `test NAME ... FAILED` and `test NAME ... ignored, why`.
    fn individual(&mut self, line: &str) {
        let Some((name, how)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "))
        else {
            return;
        };
        if how == "FAILED" {
            self.tally.failures.push(name.to_owned());
        } else if let Some(why) = how.strip_prefix("ignored") {
            self.tally
                .skips
                .insert(format!("{name}: {}", why.trim_start_matches(", ")));
        }
    }
}

/// Passed, failed and ignored of libtest's
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
fn result(line: &str) -> Option<[u64; 3]> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |word: &str| {
        let part = counts.split("; ").find_map(|part| part.strip_suffix(word))?;
        part.trim().parse::<u64>().ok()
    };
    Some([count("passed")?, count("failed")?, count("ignored")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (u64, u64, u64) {
        let mut reader = Reader::default();
        for line in lines {
            reader.feed(line);
        }
        let tally = reader.finish();
        (tally.passed, tally.failed, tally.skipped)
    }

    const TWO_PASS: &str =
        "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";

    #[test]
    fn results_are_counted() {
        type Case<'a> = (&'a str, &'a [&'a str], (u64, u64, u64));
        let cases: &[Case<'_>] = &[
            ("nothing", &[], (0, 0, 0)),
            ("ignored is skipped", &[TWO_PASS], (2, 0, 1)),
            ("programs add up", &[TWO_PASS, TWO_PASS], (4, 0, 2)),
            (
                "a test that says so is skipped, not passed",
                &["SKIPPED: dot: no graphviz", TWO_PASS],
                (1, 0, 2),
            ),
            (
                "behind the name that a single thread prints first",
                &["test dot ... SKIPPED: dot: no graphviz", "ok", TWO_PASS],
                (1, 0, 2),
            ),
            (
                "said twice, skipped once",
                &["SKIPPED: dot: x", "SKIPPED: dot: x", TWO_PASS],
                (1, 0, 2),
            ),
            (
                "a skip counts for its own program",
                &["SKIPPED: dot: x", TWO_PASS, TWO_PASS],
                (3, 0, 3),
            ),
            (
                "failures",
                &[
                    "test a ... FAILED",
                    "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.20s",
                ],
                (1, 1, 0),
            ),
            (
                "not a result",
                &["test result: ok. x passed; 0 failed; 0 ignored"],
                (0, 0, 0),
            ),
        ];
        for (name, lines, want) in cases {
            assert_eq!(read(lines), *want, "case: {name}");
        }
    }

    #[test]
    fn output_of_passing_tests_is_not_shown_but_their_skips_are() {
        let mut reader = Reader::default();
        let lines = [
            "test a ... ok",
            "successes:",
            "---- a stdout ----",
            "noise",
            "SKIPPED: a: no etcd",
            TWO_PASS,
            "next",
        ];
        let shown: Vec<&str> = lines.into_iter().filter(|line| reader.feed(line)).collect();
        assert_eq!(shown, ["test a ... ok", "SKIPPED: a: no etcd", TWO_PASS, "next"]);
    }

    #[test]
    fn crash_is_one_failure_and_a_failed_test_is_not_counted_twice() {
        let mut crashed = Reader::default();
        crashed.feed("test a ... ");
        crashed.end(false, "vm exit 139");
        assert_eq!(crashed.finish().failures, ["vm exit 139"]);

        let mut failed = Reader::default();
        failed.feed("test a ... FAILED");
        failed.feed("test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        failed.end(false, "cargo test");
        let tally = failed.finish();
        assert_eq!((tally.failed, tally.failures), (1, vec!["a".to_owned()]));
    }

    #[test]
    fn last_line_is_exactly_the_three_counts() {
        let mut tally = Tally {
            passed: 3,
            ..Tally::default()
        };
        tally.fail("x".to_owned());
        tally.skip("y: z".to_owned());
        assert_eq!(tally.line(), "3 passed, 1 failed, 1 skipped");
    }
}
