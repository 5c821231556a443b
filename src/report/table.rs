//! Tables: columns for people, Markdown, CSV, JSON.

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table as Drawn, presets};
use serde_json::{Map, Value};

use crate::cli::TableFormat;

/// One row for programs: bare values under the names that scripts rely on.
pub type Record = Map<String, Value>;

/// Rows, each in words for people and in values for programs.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    records: Vec<Record>,
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
        Self { columns: headings.iter().map(column).collect(), rows: Vec::new(), records: Vec::new() }
    }

    /// Adds a row: a cell for each heading, and the same for programs.
    pub fn row(&mut self, cells: Vec<String>, record: Record) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
        self.records.push(record);
    }

    /// The table as text. Tables and Markdown show the cells, CSV the records under the names of the first, and JSON
    /// what `object` puts around the records.
    ///
    /// # Errors
    /// None is known; serialisation is fallible in general.
    pub fn render(&self, format: TableFormat, object: impl FnOnce(Vec<Record>) -> Value) -> Result<String> {
        match format {
            TableFormat::Table => Ok(self.drawn()),
            TableFormat::Md => Ok(self.markdown()),
            TableFormat::Csv => self.csv().context("cannot write the table as CSV"),
            TableFormat::Json => {
                let object = object(self.records.clone());
                let text = serde_json::to_string_pretty(&object).context("cannot write the table as JSON")?;
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
        let rule = |column: &Column| if column.numeric { "---:" } else { "---" }.to_owned();
        let mut text = line(self.columns.iter().map(|column| escaped(&column.heading)).collect());
        text += &line(self.columns.iter().map(rule).collect());
        for row in &self.rows {
            text += &line(row.iter().map(escaped).collect());
        }
        text
    }

    fn csv(&self) -> Result<String> {
        let Some(first) = self.records.first() else { return Ok(String::new()) };
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(first.keys())?;
        for record in &self.records {
            writer.write_record(first.keys().map(|key| record.get(key).map(bare).unwrap_or_default()))?;
        }
        Ok(String::from_utf8(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)?)
    }
}

/// A value in a cell: text without quotes, nothing for null, lists with spaces between.
fn bare(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(bare).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(format: TableFormat) -> String {
        let mut table = Table::new(&["name", ">params"]);
        let mut row = |name: &str, cell: &str, record: Value| {
            let Value::Object(record) = record else { unreachable!("records are objects") };
            table.row(vec![name.into(), cell.into()], record);
        };
        row("tresnet_m", "31,389,032", json!({"name": "tresnet_m", "params": 31_389_032, "std": [1, 0.5]}));
        row("a|b", "7", json!({"name": "a, b", "params": null, "std": [2]}));
        table.render(format, |rows| json!({ "rows": rows.len() })).unwrap()
    }

    #[test]
    fn people_see_aligned_columns() {
        let expected = "name           params\ntresnet_m  31,389,032\na|b                 7\n";
        assert_eq!(rendered(TableFormat::Table), expected);
    }

    #[test]
    fn markdown_escapes_bars() {
        let expected = "| name | params |\n| --- | ---: |\n| tresnet_m | 31,389,032 |\n| a\\|b | 7 |\n";
        assert_eq!(rendered(TableFormat::Md), expected);
    }

    #[test]
    fn csv_holds_the_values_of_the_records() {
        let expected = "name,params,std\ntresnet_m,31389032,1 0.5\n\"a, b\",,2\n";
        assert_eq!(rendered(TableFormat::Csv), expected);
    }

    #[test]
    fn json_is_what_the_caller_puts_around_the_records() {
        assert_eq!(rendered(TableFormat::Json), "{\n  \"rows\": 2\n}\n");
    }
}
