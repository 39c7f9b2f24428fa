//! The shard's replicated state machine: pure, and tiny on purpose.
//!
//! Commands are entries of the shard's log; the machine is whatever they add up to. Its image goes
//! into the head of every new segment, so that old commands can be trimmed.

use std::collections::BTreeMap;

use model::{Offset, UnixMillis};
use serde::{Deserialize, Serialize};

/// Checkpoints that a shard keeps: bounds the image. A delivery stream has three.
pub const CONSUMERS_MAX: usize = 1_024;
/// The longest consumer name: as AWS consumer names.
pub(crate) const CONSUMER_NAME_BYTES_MAX: usize = 128;

/// What a shard knows beside its records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// When the shard was closed, in Unix milliseconds.
    closed_at: Option<u64>,
    /// A number that each consumer remembers: mostly the offset it reads next.
    checkpoints: BTreeMap<String, u64>,
}

/// A change of the machine, as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// No record comes after this.
    Close { at: u64 },
    /// A consumer remembers a number, as in "everything before `next` is dealt with".
    Checkpoint { consumer: String, next: u64 },
    /// A consumer is gone, with what has its name and names below it.
    Forget { consumer: String },
}

/// Whether a checkpoint of this name is a consumer's: of its name, or below it.
pub(crate) fn is_of(name: &str, consumer: &str) -> bool {
    let below = name.strip_prefix(consumer);
    below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

impl Machine {
    /// When it was closed, if it was.
    #[must_use]
    pub fn closed_at(&self) -> Option<UnixMillis> {
        self.closed_at.map(UnixMillis)
    }

    /// What is known of the machine of a shard in another process.
    pub(crate) fn closed(at: Option<UnixMillis>) -> Machine {
        Machine { closed_at: at.map(|at| at.0), checkpoints: BTreeMap::new() }
    }

    /// The offset `consumer` reads next, if it has ever said.
    #[must_use]
    pub fn checkpoint(&self, consumer: &str) -> Option<Offset> {
        self.checkpoints.get(consumer).copied().map(Offset)
    }

    /// Whether there is room for a checkpoint of `consumer`.
    pub(crate) fn admits(&self, consumer: &str) -> bool {
        consumer.len() <= CONSUMER_NAME_BYTES_MAX
            && (self.checkpoints.contains_key(consumer) || self.checkpoints.len() < CONSUMERS_MAX)
    }

    pub(crate) fn apply(&mut self, command: Command) {
        match command {
            Command::Close { at } => self.closed_at = self.closed_at.or(Some(at)),
            Command::Checkpoint { consumer, next } => {
                self.checkpoints.insert(consumer, next);
            }
            Command::Forget { consumer } => {
                self.checkpoints.retain(|name, _| !is_of(name, &consumer));
            }
        }
    }

    /// The machine that `recovered` describes.
    ///
    /// # Errors
    /// What does not parse was written by another version of this program.
    pub(crate) fn recover(recovered: &shard_log::Recovered) -> Result<Machine, serde_json::Error> {
        let mut machine = match recovered.image.as_slice() {
            [] => Machine::default(),
            image => serde_json::from_slice(image)?,
        };
        for command in &recovered.commands {
            machine.apply(serde_json::from_slice(&command.payload)?);
        }
        Ok(machine)
    }

    pub(crate) fn image(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a map with string keys has a JSON form")
    }
}

impl Command {
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an enum of strings and numbers has a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(consumer: &str, next: u64) -> Command {
        Command::Checkpoint { consumer: consumer.to_owned(), next }
    }

    #[test]
    fn image_and_commands_add_up_to_the_same_machine() {
        let commands = [
            checkpoint("delivery", 5),
            checkpoint("analytics", 7),
            checkpoint("analytics/intent", 8),
            checkpoint("analytics2", 3),
            checkpoint("delivery", 9),
            Command::Forget { consumer: "analytics".to_owned() },
            Command::Close { at: 1_000 },
            Command::Close { at: 2_000 },
        ];
        let mut whole = Machine::default();
        for command in &commands {
            whole.apply(command.clone());
        }
        for cut in 0..=commands.len() {
            let mut early = Machine::default();
            commands[..cut].iter().cloned().for_each(|command| early.apply(command));
            let rest = commands[cut..].iter().enumerate();
            let recovered = shard_log::Recovered {
                image: early.image(),
                commands: rest
                    .map(|(at, command)| shard_log::Command {
                        index: at as u64,
                        payload: command.encode().into(),
                    })
                    .collect(),
                ..shard_log::Recovered::default()
            };
            assert_eq!(Machine::recover(&recovered).unwrap(), whole);
        }
        assert_eq!(whole.checkpoint("delivery"), Some(Offset(9)));
        assert_eq!(whole.checkpoint("analytics"), None);
        assert_eq!(whole.checkpoint("analytics/intent"), None);
        assert_eq!(whole.checkpoint("analytics2"), Some(Offset(3)));
        assert_eq!(whole.closed_at(), Some(UnixMillis(1_000)));
    }

    #[test]
    fn checkpoints_are_bounded_and_the_image_fits_a_segment_head() {
        let mut machine = Machine::default();
        for number in 0..CONSUMERS_MAX {
            let consumer = format!("{number:0>width$}", width = CONSUMER_NAME_BYTES_MAX);
            assert!(machine.admits(&consumer));
            machine.apply(checkpoint(&consumer, u64::MAX));
        }
        assert!(!machine.admits("one more"));
        assert!(machine.image().len() <= shard_log::format::IMAGE_BYTES_MAX);
    }

    #[test]
    fn a_foreign_image_is_refused() {
        let recovered = shard_log::Recovered {
            image: br#"{"closed_at":null,"checkpoints":{},"leader":3}"#.to_vec(),
            ..shard_log::Recovered::default()
        };
        assert!(Machine::recover(&recovered).is_err());
    }
}
