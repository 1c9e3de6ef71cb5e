using System;
using System.IO;
using System.Net;
using System.Text.RegularExpressions;
using Google.Protobuf;
using Tidings.V1;

/// <summary>An error of Tidings.</summary>
public sealed class TidingsException : Exception
{
    public TidingsException(string reason) : base(reason) { }
}

/// <summary>
/// Publishes and lists, with the classes that protoc generates from the contract and the runtime Google.Protobuf. A unary
/// call is one POST of Protobuf, so it needs no client of gRPC, of which Mono has none; with .NET, use Grpc.Net.Client.
/// </summary>
public static class Hello
{
    private static TResponse Call<TResponse>(string token, string method, IMessage request, MessageParser<TResponse> parser)
        where TResponse : IMessage<TResponse>
    {
        string url = Environment.GetEnvironmentVariable("TIDINGS_URL") + "/tidings.v1.PushService/" + method;
        HttpWebRequest call = WebRequest.CreateHttp(url);
        call.Method = "POST";
        call.ContentType = "application/proto";
        call.Headers["Authorization"] = "Bearer " + Environment.GetEnvironmentVariable(token);
        byte[] body = request.ToByteArray();
        using (Stream stream = call.GetRequestStream()) stream.Write(body, 0, body.Length);
        try
        {
            using (WebResponse response = call.GetResponse()) return parser.ParseFrom(response.GetResponseStream());
        }
        catch (WebException error) when (error.Response != null)
        {
            // Errors are JSON, whatever the format of the call.
            string json = new StreamReader(error.Response.GetResponseStream()).ReadToEnd();
            throw new TidingsException(Regex.Match(json, "\"reason\":\"(\\w+)\"").Groups[1].Value);
        }
    }

    private static PublishRequest Notification(Draft draft)
    {
        draft.Kind = Kind.Notification;
        return new PublishRequest { Audience = new Audience { UserId = "ada" }, Message = draft };
    }

    public static void Main()
    {
        const string service = "TIDINGS_SERVICE_TOKEN";
        PublishRequest hello = Notification(new Draft { Title = "Hello from C#" });
        PublishResponse published = Call(service, "Publish", hello, PublishResponse.Parser);
        ListUnreadResponse unread =
            Call("TIDINGS_USER_TOKEN", "ListUnread", new ListUnreadRequest(), ListUnreadResponse.Parser);
        Message received = unread.Messages[0];
        if (received.Id != published.MessageId) throw new InvalidDataException("another message was received");
        try
        {
            Call(service, "Publish", Notification(new Draft { Url = "javascript:1" }), PublishResponse.Parser);
            throw new InvalidDataException("a dangerous link was published");
        }
        catch (TidingsException error)
        {
            Console.WriteLine("received: {0}; refused: {1}", received.Title, error.Message);
        }
    }
}
