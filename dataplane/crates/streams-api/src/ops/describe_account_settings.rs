//! As AWS DescribeAccountSettings.

use aws_protocol::ApiError;
use serde::Deserialize;

use crate::account::Output;
use crate::api::{Api, Shape};

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Request {}

pub(crate) async fn run(api: &Api, _: Request) -> Result<Shape<Output>, ApiError> {
    api.authorize()?;
    Ok(Shape(Output::of(&api.options.catalog.account(), api.now())))
}
