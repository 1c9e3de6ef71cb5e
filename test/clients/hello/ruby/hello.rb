# Publishes and lists, with the classes that protoc generates from the contract and the runtime google-protobuf. A unary
# call is one POST of Protobuf.

require "json"
require "net/http"
require "tidings/v1/push_service_pb"

include Tidings::V1

# An error of Tidings.
class TidingsError < StandardError
  attr_reader :reason

  def initialize(body)
    error = JSON.parse(body)
    info = error.fetch("details", []).find { |detail| detail["type"] == "google.rpc.ErrorInfo" }
    @reason = info&.dig("debug", "reason")
    super(error["message"])
  end
end

def call(token, method, request, answer)
  headers = { "Authorization" => "Bearer #{ENV.fetch(token)}", "Content-Type" => "application/proto" }
  url = URI("#{ENV.fetch("TIDINGS_URL")}/tidings.v1.PushService/#{method}")
  response = Net::HTTP.post(url, request.to_proto, headers)
  raise TidingsError, response.body unless response.code == "200"

  answer.decode(response.body)
end

def notification(**draft)
  PublishRequest.new(
    audience: Audience.new(user_id: "ada"),
    message: Draft.new(kind: :KIND_NOTIFICATION, **draft)
  )
end

published = call("TIDINGS_SERVICE_TOKEN", "Publish", notification(title: "Hello from Ruby"), PublishResponse)
received = call("TIDINGS_USER_TOKEN", "ListUnread", ListUnreadRequest.new, ListUnreadResponse).messages.first
abort "another message was received" unless received.id == published.message_id
begin
  call("TIDINGS_SERVICE_TOKEN", "Publish", notification(url: "javascript:1"), PublishResponse)
  abort "a dangerous link was published"
rescue TidingsError => e
  puts "received: #{received.title}; refused: #{e.reason}"
end
