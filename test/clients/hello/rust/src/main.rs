//! Receives what it publishes, with tonic and the code that tonic-prost-build generates from the contract.

use std::{env, error::Error};

use tonic::{Request, metadata::MetadataValue, transport::Endpoint};
use tonic_types::StatusExt;

mod tidings {
    tonic::include_proto!("tidings.v1");
}
use tidings::{
    Audience, Draft, Kind, PublishRequest, SubscribeRequest, audience::To,
    push_service_client::PushServiceClient, subscribe_response::Event,
};

/// Makes a request of the caller whose token is in the environment.
fn send<Message>(token: &str, message: Message) -> Result<Request<Message>, Box<dyn Error>> {
    let mut request = Request::new(message);
    let bearer: MetadataValue<_> = format!("Bearer {}", env::var(token)?).parse()?;
    request.metadata_mut().insert("authorization", bearer);
    Ok(request)
}

fn notification(draft: Draft) -> Result<Request<PublishRequest>, Box<dyn Error>> {
    let request = PublishRequest {
        audience: Some(Audience { to: Some(To::UserId("ada".into())) }),
        message: Some(Draft { kind: Kind::Notification.into(), ..draft }),
        ..Default::default()
    };
    send("TIDINGS_SERVICE_TOKEN", request)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let channel = Endpoint::from_shared(env::var("TIDINGS_URL")?)?.connect().await?;
    let mut push = PushServiceClient::new(channel);

    let subscribe = send("TIDINGS_USER_TOKEN", SubscribeRequest::default())?;
    let mut events = push.subscribe(subscribe).await?.into_inner();
    let first = events.message().await?.and_then(|response| response.event);
    assert!(matches!(first, Some(Event::Hello(_))));

    let hello = Draft { title: "Hello from Rust".into(), ..Default::default() };
    let published = push.publish(notification(hello)?).await?.into_inner();
    let received = loop {
        match events.message().await?.ok_or("the stream has ended")?.event {
            Some(Event::Message(message)) => break message,
            _ => continue,
        }
    };
    assert_eq!(received.id, published.message_id);

    let dangerous = Draft { url: "javascript:1".into(), ..Default::default() };
    let refusal = push.publish(notification(dangerous)?).await.expect_err("a dangerous link was published");
    let info = refusal.get_details_error_info().ok_or("the error has no ErrorInfo")?;
    println!("received: {}; refused: {}", received.title, info.reason);
    Ok(())
}
