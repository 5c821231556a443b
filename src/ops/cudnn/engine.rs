//! Which engines can run a graph: cuDNN's own ranking, or one engine named by its number and knobs.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::attribute::*;
use super::descriptor::Descriptor;
use super::target::Target;

/// More than cuDNN has ever given for one graph.
const MOST_CONFIGS: usize = 64;
const MOST_NOTES: usize = 16;
const MOST_KNOBS: usize = 32;

/// An engine and its knobs by their numbers: what a choice is remembered by. The numbers are a cuDNN version's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EngineChoice {
    pub engine: i64,
    /// `cudnnBackendKnobType_t` and value.
    pub knobs: Vec<(i32, i64)>,
}

/// An engine that may run a graph.
pub struct Engine {
    pub choice: EngineChoice,
    pub numerical: Vec<NumericalNote>,
    pub behavior: Vec<BehaviorNote>,
    /// `EngineConfig`
    pub(super) config: Arc<Descriptor>,
}

/// Which engines are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Leave out engines whose sums depend on the order in which blocks finish.
    pub deterministic: bool,
}

/// The engines for `graph`, best guess first: cuDNN's heuristic, then its fallback list. Winograd transforms (a loss of
/// digits) and kernels without tensor cores ("SIMT", an order of magnitude slower) are left out.
pub(super) fn engines(target: &Target, graph: &Arc<Descriptor>, filter: Filter) -> Result<Vec<Engine>> {
    let mut found: Vec<Engine> = Vec::new();
    let mut refused = None;
    for mode in [HeuristicMode::A, HeuristicMode::FALLBACK] {
        match ask(target, graph, mode) {
            Ok(configs) => {
                for config in configs {
                    let engine = Engine::read(config)?;
                    if engine.passes(mode, filter) && !found.iter().any(|other| other.choice == engine.choice) {
                        found.push(engine);
                    }
                }
            }
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

fn ask(target: &Target, graph: &Arc<Descriptor>, mode: HeuristicMode) -> Result<Vec<Arc<Descriptor>>> {
    let mut heuristic = Descriptor::new(target.library(), Kind::Heuristic)?;
    heuristic.refer(HEURISTIC_GRAPH, &[graph])?.set(HEURISTIC_MODE, &[mode])?;
    target.mark_heuristic(&mut heuristic)?;
    let heuristic = heuristic.finalize()?;
    let count = heuristic.count(&HEURISTIC_RESULTS)?.min(MOST_CONFIGS);
    heuristic.get_descriptors(HEURISTIC_RESULTS, Kind::EngineConfig, count)
}

impl Engine {
    fn read(config: Arc<Descriptor>) -> Result<Self> {
        let engine = config.get_descriptors(CONFIG_ENGINE, Kind::Engine, 1)?;
        let engine = engine.first().context("cuDNN gave a configuration without an engine")?;
        let index = engine.get(ENGINE_INDEX, 1)?;
        let mut knobs = Vec::new();
        for knob in config.get_descriptors(CONFIG_KNOBS, Kind::KnobChoice, MOST_KNOBS)? {
            let (kind, value) = (knob.get(KNOB_TYPE, 1)?, knob.get(KNOB_VALUE, 1)?);
            if let ([kind], [value]) = (&kind[..], &value[..]) {
                knobs.push((kind.0, *value));
            }
        }
        Ok(Self {
            choice: EngineChoice { engine: *index.first().context("cuDNN gave an engine without a number")?, knobs },
            numerical: engine.get(ENGINE_NUMERICAL_NOTES, MOST_NOTES)?,
            behavior: engine.get(ENGINE_BEHAVIOR_NOTES, MOST_NOTES)?,
            config,
        })
    }

    /// The engine that `choice` names.
    ///
    /// # Errors
    /// If this cuDNN has no such engine for the graph.
    pub(super) fn named(target: &Target, graph: &Arc<Descriptor>, choice: &EngineChoice) -> Result<Self> {
        ensure!(choice.knobs.len() <= MOST_KNOBS, "an engine of {} knobs", choice.knobs.len());
        let library = target.library();
        let mut engine = Descriptor::new(library, Kind::Engine)?;
        engine.refer(ENGINE_GRAPH, &[graph])?.set(ENGINE_INDEX, &[choice.engine])?;
        target.mark_engine(&mut engine)?;
        let mut knobs = Vec::with_capacity(choice.knobs.len());
        for &(kind, value) in &choice.knobs {
            let mut knob = Descriptor::new(library, Kind::KnobChoice)?;
            knob.set(KNOB_TYPE, &[KnobType(kind)])?.set(KNOB_VALUE, &[value])?;
            knobs.push(knob.finalize()?);
        }
        let mut config = Descriptor::new(library, Kind::EngineConfig)?;
        config.refer(CONFIG_ENGINE, &[&engine.finalize()?])?;
        if !knobs.is_empty() {
            config.refer(CONFIG_KNOBS, &knobs.iter().collect::<Vec<_>>())?;
        }
        Self::read(config.finalize()?)
    }

    /// Whether the kernel is compiled when its plan is finalised.
    pub fn is_compiled_at_run_time(&self) -> bool {
        self.behavior.contains(&BehaviorNote::RUNTIME_COMPILATION)
    }

    fn passes(&self, mode: HeuristicMode, filter: Filter) -> bool {
        // The precompiled kernels with statistics use tensor cores and bear no note. The ranking puts no kernel
        // without them on maps of padded channels; the fallback list does, and so does run-time compilation.
        let ranked = mode == HeuristicMode::A && !self.is_compiled_at_run_time();
        (ranked || self.numerical.contains(&NumericalNote::TENSOR_CORE))
            && !self.numerical.contains(&NumericalNote::WINOGRAD)
            && !(filter.deterministic && self.numerical.contains(&NumericalNote::NONDETERMINISTIC))
    }
}
