//! kcn-trace: parse, run, exit code.

use std::process::ExitCode;

use tracer_user::{app, cli};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(request) => ExitCode::from(app::run(&request).code()),
        Err(error) => error.exit(),
    }
}
