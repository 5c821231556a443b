//! Tables: columns for people, Markdown, CSV.

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table as Drawn, presets};

use crate::cli::TableFormat;

/// Rows of text under headings.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

struct Column {
    heading: String,
    numeric: bool,
}

impl Table {
    /// An empty table. A heading that starts with `>` belongs to a column of numbers, which stand to the right.
    pub fn new(headings: &[&str]) -> Self {
        let column = |heading: &&str| match heading.strip_prefix('>') {
            Some(heading) => Column { heading: heading.to_owned(), numeric: true },
            None => Column { heading: (*heading).to_owned(), numeric: false },
        };
        Self { columns: headings.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are headings.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// The table as text, or in the form of JSON, which only the caller knows: `json` makes it.
    ///
    /// # Errors
    /// What `json` or the CSV writer says.
    pub fn render(&self, format: TableFormat, json: impl FnOnce() -> serde_json::Value) -> Result<String> {
        match format {
            TableFormat::Table => Ok(self.drawn()),
            TableFormat::Md => Ok(self.markdown()),
            TableFormat::Csv => self.csv().context("cannot write the table as CSV"),
            TableFormat::Json => {
                let text = serde_json::to_string_pretty(&json()).context("cannot write the table as JSON")?;
                Ok(text + "\n")
            }
        }
    }

    fn drawn(&self) -> String {
        let mut drawn = Drawn::new();
        drawn.load_style(presets::NOTHING);
        drawn.set_header(self.columns.iter().map(|column| column.heading.as_str()));
        for (index, column) in self.columns.iter().enumerate() {
            if let Some(drawn) = drawn.column_mut(index) {
                drawn.set_padding((0, 2));
                if column.numeric {
                    drawn.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        for row in &self.rows {
            drawn.add_row(row);
        }
        drawn.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let escaped = |cell: &String| cell.replace('|', "\\|");
        let mut text = line(self.columns.iter().map(|column| escaped(&column.heading)).collect());
        text +=
            &line(self.columns.iter().map(|column| if column.numeric { "---:" } else { "---" }.to_owned()).collect());
        for row in &self.rows {
            text += &line(row.iter().map(escaped).collect());
        }
        text
    }

    fn csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.iter().map(|column| &column.heading))?;
        for row in &self.rows {
            writer.write_record(row)?;
        }
        Ok(String::from_utf8(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["name", ">params"]);
        table.row(vec!["tresnet_m".into(), "31,389,032".into()]);
        table.row(vec!["a|b".into(), "7".into()]);
        table
    }

    fn rendered(format: TableFormat) -> String {
        sample().render(format, || serde_json::json!({"rows": []})).unwrap()
    }

    #[test]
    fn people_see_aligned_columns() {
        assert_eq!(
            rendered(TableFormat::Table),
            "name           params\ntresnet_m  31,389,032\na|b                 7\n"
        );
    }

    #[test]
    fn markdown_escapes_bars() {
        assert_eq!(
            rendered(TableFormat::Md),
            "| name | params |\n| --- | ---: |\n| tresnet_m | 31,389,032 |\n| a\\|b | 7 |\n"
        );
    }

    #[test]
    fn csv_quotes_commas() {
        assert_eq!(rendered(TableFormat::Csv), "name,params\ntresnet_m,\"31,389,032\"\na|b,7\n");
    }

    #[test]
    fn json_is_what_the_caller_makes_of_it() {
        assert_eq!(rendered(TableFormat::Json), "{\n  \"rows\": []\n}\n");
    }
}
