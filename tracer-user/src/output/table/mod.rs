//! Aligned plain tables: own column writer, no wrapping, so that `grep`, `awk` and `sort` still work on them.
//!
//! A cell is never empty (`-` stands for nothing); two blanks or more separate columns. Times and sizes are rounded
//! down for people: machines read `-o json`.

use std::io::Write;

use super::{
    SinkError,
    style::{Paint, Tone},
};

mod explain;
mod graph;
mod rows;
mod verdicts;

pub use self::{
    explain::write_explanations,
    graph::write_graph,
    rows::{write_components, write_connections, write_counts, write_listeners},
    verdicts::write_verdicts,
};

/// Where a column's text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A cell: escaped text and what it means.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// `text`, already escaped; `-` when empty.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        let text = text.into();
        Self {
            text: if text.is_empty() { "-".to_owned() } else { text },
            tone,
        }
    }

    /// Nothing to show.
    pub fn none() -> Self {
        Self::new("", Tone::Quiet)
    }
}

impl<T: std::fmt::Display> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text.to_string(), Tone::Plain)
    }
}

/// A table with as many columns as its header.
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    /// An empty table.
    pub const fn new(columns: [(&'static str, Align); N]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// Writes header and rows, each column as wide as its widest cell.
    pub fn write(&self, out: &mut dyn Write, paint: Paint) -> Result<(), SinkError> {
        let header = self.columns.map(|(title, _)| Cell::new(title, Tone::Strong));
        let mut widths = [0_usize; N];
        for row in std::iter::once(&header).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let mut line = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            line.clear();
            for (index, ((cell, (_, align)), width)) in row.iter().zip(self.columns).zip(widths).enumerate() {
                let blanks = width - cell.text.chars().count();
                let (before, after) = match align {
                    Align::Left => (0, blanks),
                    Align::Right => (blanks, 0),
                };
                let last = index + 1 == N;
                line.extend(std::iter::repeat_n(
                    ' ',
                    if index == 0 { before } else { before + 2 },
                ));
                line.push_str(&paint.text(cell.tone, &cell.text).to_string());
                line.extend(std::iter::repeat_n(' ', if last { 0 } else { after }));
            }
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
