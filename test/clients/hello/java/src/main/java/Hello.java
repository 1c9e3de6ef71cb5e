import com.google.rpc.ErrorInfo;
import com.tidings.v1.Audience;
import com.tidings.v1.Draft;
import com.tidings.v1.Kind;
import com.tidings.v1.Message;
import com.tidings.v1.PublishRequest;
import com.tidings.v1.PublishResponse;
import com.tidings.v1.PushServiceGrpc;
import com.tidings.v1.PushServiceGrpc.PushServiceBlockingStub;
import com.tidings.v1.SubscribeRequest;
import com.tidings.v1.SubscribeResponse;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.net.URI;
import java.util.Iterator;
import java.util.concurrent.TimeUnit;

/** Receives what it publishes, with grpc-java and the code that its plugin for Maven generates from the contract. */
public final class Hello {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  /** The service as the caller whose token is in the environment. */
  private static PushServiceBlockingStub as(String token, ManagedChannel channel) {
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + System.getenv(token));
    return PushServiceGrpc.newBlockingStub(channel)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
        .withDeadlineAfter(20, TimeUnit.SECONDS);
  }

  private static PublishRequest notification(Draft.Builder draft) {
    return PublishRequest.newBuilder()
        .setAudience(Audience.newBuilder().setUserId("ada"))
        .setMessage(draft.setKind(Kind.KIND_NOTIFICATION))
        .build();
  }

  public static void main(String[] args) throws Exception {
    URI url = URI.create(System.getenv("TIDINGS_URL"));
    ManagedChannel channel =
        ManagedChannelBuilder.forAddress(url.getHost(), url.getPort()).usePlaintext().build();
    PushServiceBlockingStub service = as("TIDINGS_SERVICE_TOKEN", channel);

    Iterator<SubscribeResponse> events =
        as("TIDINGS_USER_TOKEN", channel).subscribe(SubscribeRequest.getDefaultInstance());
    if (!events.next().hasHello()) {
      throw new IllegalStateException("the stream does not begin with a hello");
    }
    PublishResponse published = service.publish(notification(Draft.newBuilder().setTitle("Hello from Java")));
    SubscribeResponse event = events.next();
    while (!event.hasMessage()) {
      event = events.next();
    }
    Message received = event.getMessage();
    if (!received.getId().equals(published.getMessageId())) {
      throw new IllegalStateException("another message was received");
    }

    String reason = "";
    try {
      service.publish(notification(Draft.newBuilder().setUrl("javascript:1")));
    } catch (StatusRuntimeException refusal) {
      for (com.google.protobuf.Any detail : StatusProto.fromThrowable(refusal).getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          reason = detail.unpack(ErrorInfo.class).getReason();
        }
      }
    }
    System.out.printf("received: %s; refused: %s%n", received.getTitle(), reason);
    channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
  }
}
