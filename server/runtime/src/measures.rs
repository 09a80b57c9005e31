//! A program's own numbers in the metrics.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder},
    metrics::MetricType,
};

/// A number that a program measures, for `/metrics` of the operator's address. See [`Server::measures`](crate::Server::measures).
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// The number's name, after `connectioncounter_`. If the number only grows, `_total` is added.
    pub name: &'static str,
    /// A short description.
    pub help: &'static str,
    /// Whether the number never falls while the program runs.
    pub only_grows: bool,
    /// The label that tells several values apart. It must have a bounded number of values.
    pub label: Option<&'static str>,
    /// The label's value and the number. Without a label, the label's value is ignored.
    pub values: Vec<(String, f64)>,
}

impl Measure {
    /// A number that rises and falls.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, only_grows: false, label: None, values: vec![(String::new(), value)] }
    }

    /// A number that only grows, such as how often something happened.
    #[must_use]
    pub fn total(name: &'static str, help: &'static str, value: u64) -> Self {
        // Exact up to 2^53.
        Self { only_grows: true, ..Self::gauge(name, help, value as f64) }
    }

    /// The same number with several values, which a label tells apart.
    #[must_use]
    pub fn by(mut self, label: &'static str, values: impl IntoIterator<Item = (String, f64)>) -> Self {
        self.label = Some(label);
        self.values = values.into_iter().collect();
        self
    }
}

/// Gets the program's numbers each time somebody reads the metrics.
pub(crate) type Measures = Box<dyn Fn() -> Vec<Measure> + Send + Sync>;

/// The numbers of a program.
pub(crate) struct Measured(pub(crate) Measures);

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((self.0)()).finish()
    }
}

impl Collector for Measured {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Measure { name, help, only_grows, label, values } in (self.0)() {
            let kind = if only_grows { MetricType::Counter } else { MetricType::Gauge };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (text, value) in &values {
                match label {
                    Some(label) => write(&mut family.encode_family(&[(label, text.as_str())])?, only_grows, *value)?,
                    None => write(&mut family, only_grows, *value)?,
                }
            }
        }
        Ok(())
    }
}

fn write(encoder: &mut MetricEncoder<'_>, only_grows: bool, value: f64) -> fmt::Result {
    if only_grows {
        encoder.encode_counter::<[(&str, &str); 0], f64, f64>(&value, None)
    } else {
        encoder.encode_gauge(&value)
    }
}
