<?php

/**
 * Publishes and lists, with the classes that protoc generates from the contract and Debian's package of the runtime
 * (elsewhere: composer require google/protobuf). PHP has no client of Connect; a unary call is one POST of Protobuf. It cannot
 * read streams, so it lists.
 */

declare(strict_types=1);

use Google\Protobuf\Internal\Message;
use Tidings\V1\Audience;
use Tidings\V1\Draft;
use Tidings\V1\Kind;
use Tidings\V1\ListUnreadRequest;
use Tidings\V1\ListUnreadResponse;
use Tidings\V1\PublishRequest;
use Tidings\V1\PublishResponse;

// Finds the classes in the folder given and in PHP's include path, as Composer's autoloader does.
set_include_path($argv[1] . PATH_SEPARATOR . get_include_path());
spl_autoload_register(fn (string $name) => require str_replace('\\', '/', $name) . '.php');

/** An error of Tidings. */
final class TidingsError extends RuntimeException
{
    public function __construct(public readonly string $reason, string $message)
    {
        parent::__construct($message);
    }
}

/** Calls a method of the push service, and fills the answer. */
function call(string $token, string $method, Message $request, Message $answer): Message
{
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => ['Authorization: Bearer ' . getenv($token), 'Content-Type: application/proto'],
        'content' => $request->serializeToString(),
        'timeout' => 5.0,
        // The body of an error has its reason.
        'ignore_errors' => true,
    ]]);
    $body = file_get_contents(getenv('TIDINGS_URL') . "/tidings.v1.PushService/$method", false, $context);
    // $http_response_header is set by file_get_contents. Errors are JSON, whatever the format of the call.
    if (!str_contains($http_response_header[0], ' 200')) {
        $error = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
        $info = array_filter($error['details'] ?? [], fn ($detail) => $detail['type'] === 'google.rpc.ErrorInfo');
        throw new TidingsError(reset($info)['debug']['reason'] ?? '', $error['message']);
    }
    $answer->mergeFromString($body);
    return $answer;
}

function notification(array $draft): PublishRequest
{
    return new PublishRequest([
        'audience' => new Audience(['user_id' => 'ada']),
        'message' => new Draft(['kind' => Kind::KIND_NOTIFICATION] + $draft),
    ]);
}

$hello = notification(['title' => 'Hello from PHP']);
$published = call('TIDINGS_SERVICE_TOKEN', 'Publish', $hello, new PublishResponse());
$unread = call('TIDINGS_USER_TOKEN', 'ListUnread', new ListUnreadRequest(), new ListUnreadResponse());
$received = $unread->getMessages()[0];
if ($received->getId() !== $published->getMessageId()) {
    throw new RuntimeException('another message was received');
}
try {
    call('TIDINGS_SERVICE_TOKEN', 'Publish', notification(['url' => 'javascript:1']), new PublishResponse());
    throw new RuntimeException('a dangerous link was published');
} catch (TidingsError $error) {
    echo "received: {$received->getTitle()}; refused: {$error->reason}\n";
}
