import com.google.protobuf.Empty;
import io.grpc.CallOptions;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;

/** Prints how two errors of a server read, by the record of docs/errors.md: host and port, then a token, as arguments. */
class Main {
  public static void main(String[] arguments) throws Exception {
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + arguments[1]);
    ManagedChannel channel =
        ManagedChannelBuilder.forTarget(arguments[0])
            .usePlaintext()
            .intercept(MetadataUtils.newAttachHeadersInterceptor(headers))
            .build();
    // The first call of ListUnread uses up the rate limit.
    for (String name : new String[] {"Publish", "ListUnread", "ListUnread"}) {
      // An empty request needs no generated code.
      MethodDescriptor<Empty, Empty> method =
          MethodDescriptor.newBuilder(
                  ProtoUtils.marshaller(Empty.getDefaultInstance()), ProtoUtils.marshaller(Empty.getDefaultInstance()))
              .setType(MethodDescriptor.MethodType.UNARY)
              .setFullMethodName("tidings.v1.PushService/" + name)
              .build();
      try {
        ClientCalls.blockingUnaryCall(channel, method, CallOptions.DEFAULT, Empty.getDefaultInstance());
      } catch (StatusRuntimeException thrown) {
        TidingsError error = TidingsError.of(thrown);
        System.out.println(
            String.join(
                "|",
                error.code().name(),
                error.reason(),
                error.field().isEmpty() ? "-" : error.field(),
                error.retryAfter().toSeconds() > 1 ? "later" : "-",
                error.message()));
      }
    }
    channel.shutdownNow();
  }
}
