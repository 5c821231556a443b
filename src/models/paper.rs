//! What the TResNet paper measured (arXiv 2003.13630): a V100 with 16 GB, mixed precision, speeds at 90 % of the largest
//! batch that fits.
//!
//! Speeds and accuracies are those of its tables 1 and 2, which the authors' README repeats with the later 80.8 and
//! 81.5 for M and L (<https://github.com/mrT23/TResNet>, "Main Article Results"); EfficientNet-B7 and `tresnet_l` at 368
//! are from table 8, on transfer, which has inference alone.

/// A row of the paper's tables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaperRow {
    pub model: &'static str,
    pub input_size: usize,
    /// Top training speed in images per second.
    pub train: Option<f64>,
    /// Top inference speed in images per second.
    pub infer: f64,
    pub max_train_batch: Option<usize>,
    /// Per cent on ImageNet's validation set; the table on transfer has that of other data.
    pub top1: Option<f64>,
}

const ROWS: &[PaperRow] = &[
    row("resnet50", 224, Some(805.0), 2830.0, Some(288), Some(79.0)),
    row("resnet50d", 224, Some(600.0), 2670.0, None, Some(79.3)),
    row("resnext50_32x4d", 224, Some(490.0), 1940.0, None, Some(79.4)),
    row("seresnext50_32x4d", 224, Some(400.0), 1770.0, None, Some(79.9)),
    row("efficientnet_b1", 240, Some(440.0), 2740.0, Some(196), Some(79.2)),
    row("mixnet_l", 224, Some(400.0), 1400.0, None, Some(79.0)),
    row("tresnet_m", 224, Some(730.0), 2930.0, Some(512), Some(80.8)),
    row("tresnet_l", 224, Some(345.0), 1390.0, Some(316), Some(81.5)),
    row("tresnet_xl", 224, Some(250.0), 1060.0, Some(240), Some(82.0)),
    row("tresnet_l", 368, None, 500.0, None, None),
    row("efficientnet_b7", 600, None, 70.0, None, None),
];

const fn row(
    model: &'static str,
    input_size: usize,
    train: Option<f64>,
    infer: f64,
    max_train_batch: Option<usize>,
    top1: Option<f64>,
) -> PaperRow {
    PaperRow { model, input_size, train, infer, max_train_batch, top1 }
}

/// Names of the networks that the tables of speed and accuracy compare, in the tables' order.
pub fn paper_models() -> impl Iterator<Item = &'static str> {
    ROWS.iter().filter(|row| row.train.is_some()).map(|row| row.model)
}

/// The row of a network at an input size in pixels.
pub fn paper_row(model: &str, input_size: usize) -> Option<&'static PaperRow> {
    ROWS.iter().find(|row| row.model == model && row.input_size == input_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_of_a_network_that_there_is_at_a_size_that_the_paper_measured() {
        for row in ROWS {
            let variant = crate::models::find(row.model).unwrap();
            assert_eq!(variant.name, row.model);
            assert!(row.train.is_none() || variant.input_size == row.input_size, "{}", row.model);
            assert_eq!(paper_row(row.model, row.input_size), Some(row));
        }
        assert_eq!(paper_models().count(), 9);
        assert_eq!(paper_row("tresnet_m", 448), None);
    }

    #[test]
    fn accuracies_of_tresnet_are_those_of_its_rows_but_for_their_rounding() {
        for name in ["tresnet_m", "tresnet_l", "tresnet_xl"] {
            let published = crate::models::find(name).unwrap().published.unwrap();
            let paper = paper_row(name, 224).unwrap().top1.unwrap();
            assert!((published.top1 - paper).abs() <= 0.05 + 1e-9, "{name}: {paper}");
        }
    }
}
