//! The commands of a stand-in: what can be said, and what is answered.

use crate::beat::Beat;
use crate::burst;
use crate::churn::Churn;
use crate::dial::{self, Dialed};
use crate::listen::{Listening, Manner};
use crate::stow::Stowed;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::str::FromStr;
use std::time::Duration;
use tests::listener::Transport;

/// Time a listener's process may need to answer before an attempt counts as given up.
const DEFAULT_PATIENCE_MS: u64 = 10_000;

/// What a stand-in holds.
#[derive(Default)]
pub(crate) struct Control {
    listening: Listening,
    dialed: Dialed,
    churn: Option<Churn>,
    beats: Vec<Beat>,
    /// Their input ends when this process does, and they with it.
    children: Vec<Child>,
    stowed: Vec<Stowed>,
}

/// The answer to a command.
pub(crate) enum Reply {
    /// Done, with what the command gives.
    Ok(String),
    /// Not done, and why.
    Err(String),
    /// Done, and the process ends.
    Exit,
}

impl Control {
    /// Carries out one command line.
    pub(crate) fn obey(&mut self, line: &str) -> Reply {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap_or_default();
        if command == "exit" {
            return Reply::Exit;
        }
        match self.carry_out(command, &mut Words(words)) {
            Ok(text) => Reply::Ok(text),
            Err(error) => Reply::Err(error.to_string()),
        }
    }

    fn carry_out<'a>(
        &mut self,
        command: &str,
        words: &mut Words<impl Iterator<Item = &'a str>>,
    ) -> io::Result<String> {
        match command {
            // listen ADDR [tcp]: accepts, holds, reads and discards until the client closes. Without `tcp`, and so for
            // all that listen, by MPTCP where there is such a thing.
            "listen" => self.listen(words.need("ADDR")?, &Manner::Patient, words.may()?),
            // listen-brief ADDR: closes a connection as soon as it has received something.
            "listen-brief" => self.listen(words.need("ADDR")?, &Manner::Brief, None),
            // listen-blocking ADDR THREADS: that many threads blocked in accept, each holding what it gets.
            "listen-blocking" => {
                let address = words.need("ADDR")?;
                let threads = words.need("THREADS")?;
                self.listen(address, &Manner::Blocking { threads }, None)
            }
            // listen-deaf ADDR BACKLOG: never accepts.
            "listen-deaf" => {
                let address = words.need("ADDR")?;
                let backlog = words.need("BACKLOG")?;
                self.listen(address, &Manner::Deaf { backlog }, None)
            }
            // listen-as ADDR OPTIONS: by TCP on a socket that is `reuseport`, `transparent`, `device=NAME`.
            "listen-as" => {
                let address = words.need("ADDR")?;
                self.listening.listen_specially(address, &words.need("OPTIONS")?)
            }
            // listen-with PID ADDR: accepts on the listening socket that another process has there.
            "listen-with" => {
                let pid =
                    Pid::from_raw(words.need("PID")?).ok_or_else(|| invalid("no process is called so"))?;
                self.listening.listen_with(pid, words.need("ADDR")?)
            }
            // unlisten ADDR: stops listening there and keeps what was accepted.
            "unlisten" => self.listening.unlisten(words.need("ADDR")?),
            // stow ADDR: puts everything accepted there where no file table holds it, and stops listening there.
            "stow" => {
                let address = words.need("ADDR")?;
                self.stowed.push(Stowed::new(self.listening.take(address)?)?);
                self.listening.unlisten(address)
            }
            // hangup ADDR: closes everything accepted there.
            "hangup" => self.listening.hang_up(words.need("ADDR")?),
            // dial ADDR COUNT [SOURCE]: opens and holds; gives the local ports. dial-mptcp: the same by MPTCP.
            "dial" | "dial-mptcp" => {
                let by = match command {
                    "dial" => Transport::Tcp,
                    _ => Transport::Mptcp,
                };
                let address = words.need("ADDR")?;
                self.dialed.dial(by, address, words.need("COUNT")?, words.may()?)
            }
            // dial-close ADDR COUNT [SOURCE]: opens and closes one after another; gives the local ports.
            "dial-close" => {
                let address = words.need("ADDR")?;
                Dialed::dial_close(address, words.need("COUNT")?, words.may()?)
            }
            // burst ADDR COUNT PORTS: listens there and on the ports after it, connects to itself and closes, one after
            // another on each; both ends are its own, and the other side closes as soon as it has read the end. Gives the
            // number once all are closed.
            "burst" => {
                let (address, count) = (words.need("ADDR")?, words.need("COUNT")?);
                burst::bursts(address, count, words.need("PORTS")?).map(|count| count.to_string())
            }
            // redial ADDR COUNT SOURCE: one connection after another from one port, each sending one byte more
            // than the last, each closed by the other side first.
            "redial" => {
                let address = words.need("ADDR")?;
                Dialed::redial(address, words.need("COUNT")?, words.need("SOURCE")?)
            }
            // try ADDR COUNT [PATIENCE_MS]: attempts that may fail; gives the errno, the same for all of them.
            "try" => {
                let address = words.need("ADDR")?;
                let count = words.need("COUNT")?;
                let patience = Duration::from_millis(words.may()?.unwrap_or(DEFAULT_PATIENCE_MS));
                Dialed::attempt(address, count, patience)
            }
            // send BYTES: writes that much on every held connection.
            "send" => self.dialed.send(words.need("BYTES")?),
            // stow-dialed: puts all held connections where no file table holds them.
            "stow-dialed" => {
                self.stowed.push(Stowed::new(self.dialed.take())?);
                Ok(String::new())
            }
            // close: closes all held connections.
            "close" => Ok(self.dialed.close().to_string()),
            // churn ADDR,ADDR,.. EACH LOG: opens and closes without pause until churn-stop, EACH connections to
            // one address, then the next, round and round; logs the times.
            "churn" => self.start_churn(words),
            "churn-stop" => {
                let churn = self.churn.take().ok_or_else(|| invalid("there is no churn"))?;
                churn.stop().map(|count| count.to_string())
            }
            // beat ADDR MS: opens a connection, sends a line and closes, every MS milliseconds from now on.
            "beat" => {
                let address = words.need("ADDR")?;
                let every = Duration::from_millis(words.need("MS")?);
                self.beats.push(Beat::start(address, every));
                Ok(String::new())
            }
            // rest: ends all beats; their figures stay.
            "rest" => {
                self.beats.iter_mut().for_each(Beat::rest);
                Ok(String::new())
            }
            "counts" => Ok(self.counts()),
            _ => self.change(command, words),
        }
    }

    /// What it is rather than what it connects.
    fn change<'a>(
        &mut self,
        command: &str,
        words: &mut Words<impl Iterator<Item = &'a str>>,
    ) -> io::Result<String> {
        match command {
            // cpu N: runs on that processor only from now on, threads started later included.
            "cpu" => pin(words.need("N")?),
            // call NAME: takes another name, as any process may.
            "call" => {
                let name: String = words.need("NAME")?;
                fs::write("/proc/self/comm", name).map(|()| String::new())
            }
            // become PATH: runs that program instead, which has the same name as its file, takes further commands, and
            // inherits the held connections. It answers before: what is told it then is for the next program to read.
            "become" => {
                let path: String = words.need("PATH")?;
                self.dialed.bequeath()?;
                writeln!(io::stdout(), "ok")?;
                Err(Command::new(path).exec())
            }
            // fork-dial-become ADDR PATH: a child that dials, then runs that program, holds the connection and ends with
            // this process.
            "fork-dial-become" => {
                let address = words.need("ADDR")?;
                let path: String = words.need("PATH")?;
                self.children.push(dial::fork_dial_become(address, &path)?);
                Ok(String::new())
            }
            // login UID: begins a login session, as pam_loginuid does.
            "login" => {
                let uid: u32 = words.need("UID")?;
                fs::write("/proc/self/loginuid", uid.to_string()).map(|()| String::new())
            }
            _ => Err(invalid("unknown command")),
        }
    }

    fn listen(
        &mut self,
        address: SocketAddr,
        manner: &Manner,
        transport: Option<Transport>,
    ) -> io::Result<String> {
        self.listening
            .listen(address, manner, transport.unwrap_or_default())
    }

    fn start_churn<'a>(&mut self, words: &mut Words<impl Iterator<Item = &'a str>>) -> io::Result<String> {
        let addresses: String = words.need("ADDR,ADDR,..")?;
        let addresses = addresses
            .split(',')
            .map(|address| parse(address, "ADDR"))
            .collect::<io::Result<_>>()?;
        let each = words.need("EACH")?;
        let log: String = words.need("LOG")?;
        self.churn = Some(Churn::start(addresses, each, &log)?);
        Ok(String::new())
    }

    fn counts(&self) -> String {
        let churned = self.churn.as_ref().map_or(0, Churn::count);
        let dialed = self.dialed.count();
        let (accepted, held, received) = self.listening.counts();
        let (beats, missed) = self.beats.iter().fold((0, 0), |(beats, missed), beat| {
            (beats + beat.count(), missed + beat.missed())
        });
        format!(
            "dialed={dialed} accepted={accepted} held={held} received={received} churned={churned} beats={beats} missed={missed}"
        )
    }
}

fn pin(processor: usize) -> io::Result<String> {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set)?;
    Ok(String::new())
}

/// The words of a command after its name.
struct Words<I>(I);

impl<'a, I: Iterator<Item = &'a str>> Words<I> {
    fn need<T: FromStr>(&mut self, what: &str) -> io::Result<T> {
        let word = self
            .0
            .next()
            .ok_or_else(|| invalid(&format!("{what} is missing")))?;
        parse(word, what)
    }

    fn may<T: FromStr>(&mut self) -> io::Result<Option<T>> {
        self.0.next().map(|word| parse(word, "the last word")).transpose()
    }
}

fn parse<T: FromStr>(word: &str, what: &str) -> io::Result<T> {
    word.parse()
        .map_err(|_unspecific| invalid(&format!("{what} cannot be {word}")))
}

pub(crate) fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

/// A local port for an answer line.
pub(crate) fn port_of(address: io::Result<SocketAddr>) -> io::Result<String> {
    address.map(|address| address.port().to_string())
}
