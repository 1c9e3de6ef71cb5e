<?php

/**
 * A backend in PHP, without any client: Tidings takes plain HTTP and JSON. Needs PHP 8 and no extension.
 *
 *   TIDINGS_URL=http://127.0.0.1:7300 TIDINGS_TOKEN=... php publish.php
 */

declare(strict_types=1);

/** An error of Tidings: the code and the reason are for programs, the message is for people. */
final class TidingsError extends RuntimeException
{
    public function __construct(public readonly string $status, public readonly string $reason, string $message)
    {
        parent::__construct($message);
    }
}

/**
 * Calls a method of the push service. Throws a TidingsError when it refuses the request, and one with the status
 * `unavailable` when it cannot be reached, so that the caller can continue its own work.
 */
function call(string $method, array $request): array
{
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => [
            'Authorization: Bearer ' . getenv('TIDINGS_TOKEN'),
            'Content-Type: application/json',
        ],
        'content' => json_encode($request, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE),
        'timeout' => 2.0,
        // The body of an error has its reason.
        'ignore_errors' => true,
    ]]);
    $body = @file_get_contents(getenv('TIDINGS_URL') . "/tidings.v1.PushService/$method", false, $context);
    if ($body === false) {
        throw new TidingsError('unavailable', '', 'the push service cannot be reached');
    }
    $answer = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
    // $http_response_header is set by file_get_contents.
    if (!str_contains($http_response_header[0], ' 200')) {
        $info = array_filter($answer['details'] ?? [], fn ($detail) => $detail['type'] === 'google.rpc.ErrorInfo');
        throw new TidingsError($answer['code'], reset($info)['debug']['reason'] ?? '', $answer['message']);
    }
    return $answer;
}

/** Retries until the message is known to be published. Its requestId makes the retries safe. */
function publish(array $audience, array $message, string $requestId): array
{
    $request = ['audience' => $audience, 'message' => $message, 'requestId' => $requestId];
    for ($attempt = 1; ; $attempt++) {
        try {
            return call('Publish', $request);
        } catch (TidingsError $error) {
            $again = in_array($error->status, ['unavailable', 'deadline_exceeded'], true);
            if (!$again || $attempt === 3) {
                throw $error;
            }
            usleep($attempt * 200_000);
        }
    }
}

$requestId = bin2hex(random_bytes(16));
$message = [
    'kind' => 'KIND_NOTIFICATION',
    'category' => 'operation',
    'title' => '订单 T1001 等待处理',
    'content' => 'Order T1001 waits for you.',
    'url' => '/orders/T1001',
    'json' => ['order' => 'T1001', 'total' => 131],
];

$first = publish(['users' => ['userIds' => ['ada', 'bob']]], $message, $requestId);
echo "published {$first['messageId']}\n";
foreach ($first['receipts'] as $receipt) {
    // JSON leaves out fields that are false or zero.
    $where = ($receipt['online'] ?? false) ? "online on {$receipt['connections']} pages" : 'offline';
    echo "  {$receipt['userId']}: " . (($receipt['stored'] ?? false) ? 'stored' : 'lost') . ", $where\n";
}

$second = publish(['users' => ['userIds' => ['ada', 'bob']]], $message, $requestId);
$same = $second['messageId'] === $first['messageId'] && ($second['duplicate'] ?? false);
echo 'retried: ' . ($same ? 'the same message, published once' : 'published twice!') . "\n";

try {
    publish(['userId' => 'ada'], ['url' => 'javascript:alert(1)'] + $message, bin2hex(random_bytes(16)));
    echo "published a dangerous address!\n";
    exit(1);
} catch (TidingsError $error) {
    echo "refused: {$error->status} {$error->reason}: {$error->getMessage()}\n";
}
