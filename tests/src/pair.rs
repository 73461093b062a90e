//! The smallest traffic: a server and a client in a namespace of their own.

use crate::json;
use crate::netns::Netns;
use crate::standin::Standin;
use anyhow::Result;
use serde_json::Value;

/// A namespace with two stand-ins.
#[derive(Debug)]
pub struct Pair {
    // Dropped in this order: nobody is left to dial a server that is gone.
    /// The one that dials.
    pub client: Standin,
    /// The one that listens.
    pub server: Standin,
    /// Where both are.
    pub netns: Netns,
}

impl Pair {
    /// Starts both; nobody listens yet.
    pub fn start(client: &str, server: &str) -> Result<Self> {
        let netns = Netns::new()?;
        let server = Standin::start(&netns, server)?;
        let client = Standin::start(&netns, client)?;
        Ok(Self {
            client,
            server,
            netns,
        })
    }

    /// The records of one kind in this namespace.
    pub fn records<'a>(&self, all: &'a [Value], kind: &str) -> Vec<&'a Value> {
        json::records(all, kind, self.netns.inode())
    }

    /// How many records of one kind there are in this namespace.
    pub fn count(&self, all: &[Value], kind: &str) -> usize {
        self.records(all, kind).len()
    }

    /// Whether both ends of a record have these two as their processes.
    pub fn owns_both_ends(&self, record: &Value) -> bool {
        json::pid(json::source(record)) == u64::from(self.client.pid())
            && json::pid(json::destination(record)) == u64::from(self.server.pid())
    }
}
