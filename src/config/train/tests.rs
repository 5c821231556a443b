mod recipes;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::cli::{self, Command, UsageError};
use crate::flat_yaml;
use crate::loss::Criterion;
use crate::optim::Clip;
use crate::preprocessing::ResizeMode;

/// The README's command line, as typed after the program's name, but for the shell's quotes.
const SEED: &str = "-b=190 --lr=0.6 --model-ema --aa=rand-m9-mstd0.5-inc1 --num-gpu=8 -j=16 --amp --model=tresnet_m \
                    --epochs=300 --mixup=0.2 --sched=cosine --reprob=0.4 --remode=pixel";

/// What timm's trainer of August 2026 writes for a run with its defaults, and a few settings of a run's own.
const TIMMS: &str = include_str!("../../../tests/fixtures/config/timm-args.yaml");

/// A data set of empty folders.
fn data() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for split in ["train", "val"] {
        fs::create_dir_all(dir.path().join(split).join("cat")).unwrap();
    }
    dir
}

fn resolved_in(dir: &Path, flags: &str) -> Result<TrainSettings> {
    let line = ["tresnet", "train", dir.to_str().unwrap()].into_iter().chain(flags.split_whitespace());
    let Command::Train(args) = cli::parse(line.map(Into::into))?.command else { unreachable!("the line says train") };
    TrainSettings::resolve(*args)
}

fn resolved(flags: &str) -> Result<TrainSettings> {
    resolved_in(data().path(), flags)
}

/// The settings of a file's text, under further flags.
fn from_file(text: &str, flags: &str) -> Result<TrainSettings> {
    let dir = data();
    let file = dir.path().join("settings.yaml");
    fs::write(&file, text).unwrap();
    resolved_in(dir.path(), &format!("-c {} {flags}", file.display()))
}

#[test]
fn the_readmes_command_line_means_what_it_says() {
    let settings = resolved(SEED).unwrap();
    assert_eq!(settings.model.variant.name, "tresnet_m");
    assert_eq!((settings.data.batch_size, settings.data.workers), (190, 16));
    assert_eq!((settings.optimization.lr, settings.schedule.epochs), (0.6, 300));
    assert_eq!(settings.ema, Some(EmaSettings { decay: 0.9998, warmup: false }));
    assert_eq!(settings.augmentation.transform.auto_augment.as_deref(), Some("rand-m9-mstd0.5-inc1"));
    assert!(settings.augmentation.mixing.is_some() && settings.augmentation.erasing.is_some());
    assert_eq!(settings.criterion, Criterion::CrossEntropy { smoothing: 0.1 });
    // Today's defaults.
    assert_eq!((settings.optimization.groups.weight_decay, settings.schedule.warmup_epochs), (2e-5, 5));
    let warning = "without a meaning here and ignored: --num-gpu (one process trains on one device)";
    assert_eq!(settings.warnings, [warning]);
}

#[test]
fn timms_own_record_is_understood() {
    let settings = from_file(TIMMS, "").unwrap();
    assert_eq!(settings.model.variant.name, "tresnet_l");
    assert_eq!((settings.evaluation.input_size, settings.data.batch_size), (320, 96));
    assert_eq!(settings.optimization.clip, Some(Clip::Adaptive(0.02)));
    assert_eq!(settings.augmentation.transform.color_jitter, [0.4]);
    let [warning] = &settings.warnings[..] else { panic!("{:?}", settings.warnings) };
    assert!(warning.contains("settings.yaml: without a meaning here") && warning.contains("dist_bn"), "{warning}");
    assert!(!warning.contains("pin_mem"), "what is off needs no remark: {warning}");
}

#[test]
fn flags_win_over_a_file_and_a_file_over_what_it_extends() {
    let dir = data();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("base.yaml", "lr: 0.3\nepochs: 10\nscale: [0.5, 1]\nmodel_ema: true\ndecay_milestones: [1, 2]\n");
    write("own.yaml", "extends: base.yaml\nepochs: 20\nmodel_ema: false\nratio: [1, 1]\n");
    let file = dir.path().join("own.yaml");
    let settings = resolved_in(dir.path(), &format!("-c {} --ratio 0.9 1.1 --lr 0.2", file.display())).unwrap();
    assert_eq!((settings.optimization.lr, settings.schedule.epochs, settings.ema), (0.2, 20, None));
    let transform = &settings.augmentation.transform;
    assert_eq!((transform.scale, transform.ratio), ((0.5, 1.0), (0.9, 1.1)));
    // What a run was given as its place counts before the file's.
    write("own.yaml", "data_dir: /nowhere\nimg_size: 64\n");
    let settings = resolved_in(dir.path(), &format!("-c {} --input-size 3 96 96", file.display())).unwrap();
    assert_eq!(settings.evaluation.input_size, 96);
}

#[test]
fn a_file_that_cannot_be_meant_is_named_with_the_reason() {
    for (text, reason) in [
        ("weight_decey: 0.1", "there is no setting `weight_decey`; the nearest are weight_decay"),
        ("lr: fast", "settings.yaml: invalid value 'fast' for '--lr"),
        ("model_ema: 3", "model_ema: 3: say true or false"),
        ("lr: true", "lr: true: it takes a value"),
        ("scale: {a: 1}", "it takes no such value"),
        ("drop_block: 0.1", "--drop-block 0.1 is not to be had here"),
        ("opt_kwargs: {fused: true}", "--opt-kwargs"),
        ("extends: settings.yaml", "it extends itself"),
        ("extends: other.yaml", "other.yaml: it cannot be read"),
        ("- a", "it is no mapping"),
        ("batch_size: 0", "at least 1"),
    ] {
        let error = from_file(text, "").err().unwrap();
        assert!(error.is::<UsageError>(), "{text}: {error}");
        assert!(error.to_string().contains(reason), "{text}: {error}");
    }
}

#[test]
fn the_record_is_a_file_that_means_the_same() {
    let pieces = |settings: &TrainSettings| {
        let TrainSettings { model, data, evaluation, augmentation, criterion, .. } = settings;
        let model = (model.variant.name, model.num_classes, &model.weights, &model.frozen, model.grad_checkpointing);
        let TrainSettings { optimization, schedule, ema, output, start, seed, amp, .. } = settings;
        format!(
            "{model:?} {data:?} {evaluation:?} {augmentation:?} {criterion:?} {optimization:?} {schedule:?} {ema:?} \
             {output:?} {start:?} {seed} {amp}"
        )
    };
    for flags in [
        SEED,
        "--model resnet20 --freeze layers.0,init_layer --mean 0.1,0.2,0.3 --num-classes 7 --opt adamw --opt-betas 0.8 0.9",
        "--lr-base 0.2 --grad-accum-steps 3 --cutmix-minmax 0.2 0.8 --sched multistep --decay-milestones 3 7 --log tensorboard",
        "--no-aug --lr-noise 0.4 0.9 --clip-grad 1 --clip-mode agc --experiment a_b --resume auto",
        "--pretrained-path x.pth --no-initial-ema --color-jitter 0.1 0.2 0.3 --aug-repeats 3 --warmup-prefix -vb 32",
        "--jsd-loss --aug-splits 3 --resplit --reprob 0.1 --drop 0.1 --drop-path 0.2",
    ] {
        let dir = data();
        let settings = resolved_in(dir.path(), flags).unwrap();
        let text = flat_yaml::render(&settings.record).unwrap();
        let file = dir.path().join("args.yaml");
        fs::write(&file, &text).unwrap();
        let line = ["tresnet", "train", "-c", file.to_str().unwrap()].map(Into::into);
        let Command::Train(args) = cli::parse(line).unwrap().command else { unreachable!("the line says train") };
        let again = TrainSettings::resolve(*args).unwrap();
        assert_eq!(pieces(&again), pieces(&settings), "{text}");
        assert_eq!(again.record, settings.record);
        assert_eq!(again.warnings, [""; 0], "{flags}");
    }
}

#[test]
fn the_rate_follows_the_global_batch_where_none_is_given() {
    let lr = |flags: &str| resolved(flags).unwrap().optimization.lr;
    assert_eq!(lr("-b 128"), 0.05);
    assert_eq!(lr("-b 64 --grad-accum-steps 8 --lr-base 0.4"), 0.8);
    assert_eq!(lr("-b 64 --opt lamb --lr-base 0.4"), 0.2);
    assert_eq!(lr("-b 64 --lr 0"), 0.025);
}

#[test]
fn freezing_goes_by_the_names_of_parameters() {
    let trained = |flags: &str| {
        let model = resolved(flags).unwrap().model;
        let graph = model.variant.architecture(&model.request(10)).unwrap().graph;
        let parameters = graph.parameters().iter().zip(&model.frozen).filter(|(p, frozen)| p.trainable && !**frozen);
        parameters.map(|(parameter, _)| parameter.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(trained("--model resnet20 --freeze backbone"), ["head.weight", "head.bias"]);
    let rest = trained("--model resnet20 --freeze init_layer layers.1");
    assert!(rest.iter().all(|name| !name.starts_with("init_layer.") && !name.starts_with("layers.1.")));
    assert!(rest.iter().any(|name| name.starts_with("layers.0.")));
}

#[test]
fn validation_crops_at_every_size_as_timms_trainer_does() {
    let settings = resolved("--model tresnet_l_448").unwrap();
    assert_eq!((settings.evaluation.input_size, settings.evaluation.resize_mode), (448, ResizeMode::Crop));
}

#[test]
fn contradictions_are_wrong_usage_that_names_its_flag() {
    for (flags, named) in [
        ("-b 127 --mixup 0.2", "--batch-size 127"),
        ("-b 127 --cutmix-minmax 0.2 0.8", "--batch-size 127"),
        ("--jsd-loss", "--aug-splits"),
        ("--jsd-loss --bce-loss --aug-splits 3", "--bce-loss"),
        ("--aug-splits 1", "--aug-splits 1"),
        ("--aug-splits 3 --mixup 0.1", "--mixup"),
        ("--aug-splits 3 --no-aug", "--no-aug"),
        ("--aug-repeats 1.5", "--aug-repeats 1.5"),
        ("--cutmix-minmax 0.2", "--cutmix-minmax"),
        ("--cutmix-minmax 0.8 0.2", "--cutmix-minmax"),
        ("--mixup 0.2 --mixup-prob 2", "--mixup-prob"),
        ("--epochs 0", "--epochs"),
        ("--opt sgdd", "--opt"),
        ("--opt adamw --opt-betas 0.9", "--opt-betas"),
        ("--momentum 1.5", "--momentum"),
        ("--weight-decay=-1", "--weight-decay"),
        ("--sched cosin", "--sched cosin"),
        ("--sched plateau --sched-on-updates", "--sched-on-updates"),
        ("--aa rand-m9-q3", "--aa rand-m9-q3"),
        ("--aa randy", "--aa randy"),
        ("--resume a.safetensors --initial-checkpoint b.pth", "--initial-checkpoint"),
        ("--resume a.safetensors --pretrained-path b.pth", "--pretrained-path"),
        ("--resume auto", "--experiment"),
        ("--initial-checkpoint a.pth --pretrained-path b.pth", "--pretrained-path"),
        ("--amp --dtype f32", "--amp"),
        ("--amp --amp-dtype float32", "--amp-dtype"),
        ("--amp --amp-dtype double", "--amp-dtype double"),
        ("--amp --amp-dtype float16 --device cpu", "--amp-dtype float16 means --dtype f16"),
        ("--amp --amp-dtype bf16 --dtype f16", "--dtype f16"),
        ("--freeze body,head", "--freeze body,head"),
        ("--freeze bodi", "body.conv1"),
        ("--drop 1", "--drop 1"),
        ("--drop-path=-0.1", "--drop-path -0.1"),
        ("--model-kwargs width=2", "--model-kwargs"),
        ("--drop-connect 0.1", "--drop-connect"),
        ("--pretrained", "--pretrained-path"),
        ("--clip-grad 0", "--clip-grad 0"),
        ("--smoothing 1", "--smoothing 1"),
        ("--model-ema --model-ema-decay 1.5", "--model-ema-decay"),
        ("--model tresnet_q", "tresnet_m"),
        ("--input-size 1 224 224", "--input-size"),
        ("--input-size 224 --img-size 192", "--img-size 192"),
        ("--in-chans 1", "--in-chans 1"),
        ("--std 0,1,1", "--std"),
        ("--crop-pct 2", "--crop-pct 2"),
        ("--scale 0.5", "--scale"),
        ("--hflip 2", "--hflip 2"),
        ("--reprob 2", "--reprob 2"),
        ("--epochs 3 --start-epoch 3", "--start-epoch 3"),
        ("--experiment ../x", "--experiment"),
        ("--train-split nothing", "--train-split"),
        ("--bce-loss --bce-pos-weight=-1", "--bce-pos-weight"),
    ] {
        let error = resolved(flags).err().unwrap_or_else(|| panic!("{flags} was taken"));
        assert!(error.is::<UsageError>(), "{flags}: {error}");
        assert!(error.to_string().contains(named), "{flags}: {error}");
    }
}

#[test]
fn what_does_nothing_is_said_and_the_run_goes_on() {
    for (flags, named) in [
        ("--clip-mode agc", "--clip-mode"),
        ("--lr 0.1 --lr-base 0.2", "--lr-base"),
        ("--bce-sum", "--bce-loss"),
        ("--model-ema-warmup", "--model-ema"),
        ("--no-aug --aa v0", "--aa"),
        ("--no-initial-ema", "--no-initial-ema"),
        ("--dist_bn=reduce --pin-mem --local_rank=3 --torchcompile", "--local-rank"),
        ("--native-amp", "--amp alone"),
    ] {
        let warnings = resolved(flags).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(named), "{flags}: {warnings:?}");
    }
}

#[test]
fn no_data_is_said_first() {
    let line = ["tresnet", "train", "--model", "resnet20"].map(Into::into);
    let Command::Train(args) = cli::parse(line).unwrap().command else { unreachable!("the line says train") };
    let error = TrainSettings::resolve(*args).err().unwrap().to_string();
    assert!(error.contains("give the data set's folder"), "{error}");
}
