//! What EnableEnhancedMonitoring and DisableEnhancedMonitoring share.

use std::collections::BTreeSet;

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use catalog::ShardMetric;
use serde::{Deserialize, Serialize};

use crate::api::{Api, Shape};
use crate::stream_ref::StreamRef;

const ALL: &str = "ALL";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_level_metrics: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    current_shard_level_metrics: Vec<&'static str>,
    desired_shard_level_metrics: Vec<&'static str>,
}

type Metrics = BTreeSet<ShardMetric>;

/// Sets what is measured to what `desired` makes of what was and what was asked for.
pub(crate) async fn change(
    api: &Api,
    request: Request,
    desired: impl Fn(&Metrics, &Metrics) -> Metrics,
) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, shard_level_metrics } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    let asked = check_metrics(&mut checks, shard_level_metrics.as_deref());
    checks.finish()?;
    let name = named.resolve()?;
    let before = api.stream(&name)?.settings.shard_metrics.clone();
    let stored = api.change_active(&name, |stream| {
        let wanted = desired(&stream.settings.shard_metrics, &asked);
        let is_new = wanted != stream.settings.shard_metrics;
        stream.settings.shard_metrics = wanted;
        Ok(is_new)
    });
    let after = &stored.await?.settings.shard_metrics;
    for metric in before.difference(after) {
        api.options.metrics.forget_shard_metric(&name, *metric);
    }
    Ok(Shape(Output {
        stream_arn: api.arn(&name),
        stream_name: name.to_string(),
        current_shard_level_metrics: names(&before),
        desired_shard_level_metrics: names(after),
    }))
}

pub(crate) fn names(metrics: &Metrics) -> Vec<&'static str> {
    metrics.iter().map(|metric| metric.name()).collect()
}

fn check_metrics(checks: &mut Violations, texts: Option<&[String]>) -> Metrics {
    let mut metrics = Metrics::new();
    let Some(texts) = checks.required("shardLevelMetrics", texts) else {
        return metrics;
    };
    checks.list_length("shardLevelMetrics", texts.len(), 1..=ShardMetric::NAMES.len());
    let each = ShardMetric::NAMES.map(|(name, metric)| (name, Some(metric)));
    let set: Vec<(&str, Option<ShardMetric>)> = each.into_iter().chain([(ALL, None)]).collect();
    for text in texts.iter().take(set.len()) {
        match checks.one_of("shardLevelMetrics", Some(text), &set) {
            Some(Some(metric)) => drop(metrics.insert(metric)),
            Some(None) => metrics.extend(ShardMetric::NAMES.map(|(_, metric)| metric)),
            None => {}
        }
    }
    metrics
}
