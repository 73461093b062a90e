//! Beginning and end of processes in the table, and the limits of what it keeps.
#![forbid(unsafe_code)]

use super::{
    Process, ProcessTable,
    life::{Life, START_SLACK_NS},
};

/// Processes of one thread group id that are told apart.
const LIVES_MAX: usize = 4;

impl ProcessTable {
    /// Adds a process. One that was taken to be alive under the same id has ended unseen.
    pub(super) fn begin(&mut self, tgid: u32, start_ns: Option<u64>, first_ns: u64, mut process: Process) {
        let before = self
            .by_tgid
            .get(&tgid)
            .and_then(|lives| lives.last())
            .map(|life| (life.serial, life.exit_ns));
        let ended_ns = before.map(|(serial, exit_ns)| {
            exit_ns.unwrap_or_else(|| {
                let at_ns = start_ns.unwrap_or(first_ns);
                self.end(tgid, serial, at_ns);
                at_ns.saturating_sub(START_SLACK_NS)
            })
        });
        self.serial += 1;
        process.reference.instance = self.serial;
        let life = Life::new(self.serial, start_ns, first_ns, ended_ns, process);
        let lives = self.by_tgid.entry(tgid).or_default();
        if lives.len() >= LIVES_MAX {
            lives.remove(0);
            self.evicted += 1;
        }
        // Nearly every id has one life: growing by four would double the table.
        lives.reserve_exact(1);
        lives.push(life);
        self.alive += 1;
        self.appeared.push_back((tgid, self.serial));
        self.limit_living();
    }

    /// Marks a process as ended.
    pub(super) fn end(&mut self, tgid: u32, serial: u64, at_ns: u64) {
        let lives = self.by_tgid.get_mut(&tgid);
        let Some(life) = lives.and_then(|lives| lives.iter_mut().find(|life| life.serial == serial)) else {
            return;
        };
        if life.exit_ns.replace(at_ns).is_none() {
            self.alive = self.alive.saturating_sub(1);
            self.exited.push_back((tgid, serial));
        }
        while self.exited.len() > self.kept_max {
            if let Some((tgid, serial)) = self.exited.pop_front() {
                self.forget(tgid, serial);
            }
        }
    }

    /// Reached only when exits were lost: a machine has fewer processes at a time.
    fn limit_living(&mut self) {
        while self.alive > self.kept_max {
            let Some((tgid, serial)) = self.appeared.pop_front() else {
                break;
            };
            if self.is_alive(tgid, serial) {
                self.alive -= 1;
                self.forget(tgid, serial);
            }
        }
        // Without this, ended processes would stay in line for ever. Half of them at least are gone afterwards.
        if self.appeared.len() > 2 * self.alive + 1024 {
            let mut appeared = std::mem::take(&mut self.appeared);
            appeared.retain(|(tgid, serial)| self.is_alive(*tgid, *serial));
            self.appeared = appeared;
        }
    }

    fn is_alive(&self, tgid: u32, serial: u64) -> bool {
        let mut lives = self.by_tgid.get(&tgid).into_iter().flatten();
        lives.any(|life| life.serial == serial && life.exit_ns.is_none())
    }

    fn forget(&mut self, tgid: u32, serial: u64) {
        let Some(lives) = self.by_tgid.get_mut(&tgid) else {
            return;
        };
        let before = lives.len();
        lives.retain(|life| life.serial != serial);
        self.evicted += u64::from(lives.len() < before);
        if lives.is_empty() {
            self.by_tgid.remove(&tgid);
        }
    }
}
