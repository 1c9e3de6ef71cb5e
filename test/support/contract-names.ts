/**
 * The names, numbers and types that clients rely on: `name=number:type` per field (`[]`: repeated), `name=number` per
 * value of an enum. The contract may have more, never less: what stands here changes only with a new major version.
 */
export const typeNames: Readonly<Record<string, string>> = {
  Kind: "KIND_UNSPECIFIED=0 KIND_NOTIFICATION=1 KIND_ACTIVITY=2 KIND_EVENT=3",
  Scope: "SCOPE_UNSPECIFIED=0 SCOPE_USER=1 SCOPE_ROOM=2 SCOPE_TENANT=3 SCOPE_EVERYONE=4",
  RoomMode: "ROOM_MODE_UNSPECIFIED=0 ROOM_MODE_ANY=1 ROOM_MODE_FIRST=2 ROOM_MODE_LAST=3",
  UserIds: "user_ids=1:string[]",
  MessageIds: "message_ids=1:string[]",
  Actor: "id=1:string name=2:string avatar_url=3:string",
  ObjectRef: "type=1:string id=2:string",
  Audience: "user_id=1:string users=2:UserIds room_id=3:string tenant=4:bool everyone=5:bool",
  Draft: `
    kind=1:Kind category=2:string title=3:string content=4:string url=5:string actor=6:Actor object=7:ObjectRef
    event=8:string json=9:Value binary=10:bytes content_type=11:string ttl=12:Duration batch_id=13:string`,
  Position: "feed=1:string epoch=2:uint32 seq=3:uint64",
  Message: `
    id=1:string kind=2:Kind category=3:string title=4:string content=5:string url=6:string actor=7:Actor
    object=8:ObjectRef event=9:string json=10:Value binary=11:bytes content_type=12:string batch_id=13:string
    scope=14:Scope room_id=15:string publish_time=16:Timestamp expire_time=17:Timestamp position=18:Position
    read=19:bool receiver_id=20:string alert=21:bool`,
  PublishRequest: "tenant_id=1:string audience=2:Audience message=3:Draft request_id=4:string replace=5:bool",
  PublishResponse: `
    message_id=1:string publish_time=2:Timestamp duplicate=3:bool receipts=4:Receipt[] online_users=5:uint32`,
  Receipt: "user_id=1:string stored=2:bool online=3:bool connections=4:uint32",
  PublishBatchRequest: "requests=1:PublishRequest[]",
  PublishBatchResponse: "outcomes=1:PublishOutcome[]",
  PublishOutcome: "ok=1:PublishResponse error=2:PublishError",
  PublishError: "code=1:string reason=2:string message=3:string",
  SubscribeRequest: `
    positions=1:Position[] rooms=2:RoomJoin[] kinds=3:Kind[] categories=4:string[] events=5:string[]
    online_count=6:bool instance_id=7:string`,
  RoomJoin: "room_id=1:string mode=2:RoomMode",
  SubscribeResponse: `
    hello=1:Hello message=2:Message read_state=3:ReadState online=4:OnlineState caught_up=5:CaughtUp gap=6:Gap
    room=7:RoomState heartbeat=8:Heartbeat go_away=9:GoAway`,
  Hello: `
    subscription_id=1:string heartbeat_interval=2:Duration unread=3:UnreadTotals online=4:OnlineState
    positions=5:Position[]`,
  UnreadTotals: "total=1:uint32 by_category=2:map<string,uint32> version=3:uint64",
  ReadState: "unread=1:UnreadTotals read_ids=2:string[] unread_ids=3:string[] deleted_ids=4:string[] all=5:bool",
  OnlineState: "users=1:uint32 connections=2:uint32",
  CaughtUp: "positions=1:Position[]",
  Gap: "after=1:Position to=2:Position",
  RoomState: "room_id=1:string status=2:RoomState.Status message=3:string code=4:string reason=5:string",
  "RoomState.Status": "STATUS_UNSPECIFIED=0 STATUS_JOINED=1 STATUS_REFUSED=2 STATUS_KICKED=3",
  Heartbeat: "positions=1:Position[]",
  GoAway: "reconnect_after=1:Duration message=2:string reason=3:string",
  ListUnreadRequest: `
    categories=1:string[] actor_id=2:string start_time=3:Timestamp end_time=4:Timestamp page_size=5:int32
    page_token=6:string`,
  ListUnreadResponse: "messages=1:Message[] next_page_token=2:string unread=3:UnreadTotals",
  ListMessagesRequest: `
    tenant_id=1:string kinds=2:Kind[] categories=3:string[] actor_id=4:string object=5:ObjectRef room_id=6:string
    batch_id=7:string start_time=8:Timestamp end_time=9:Timestamp page_size=10:int32 page_token=11:string`,
  ListMessagesResponse: "messages=1:Message[] next_page_token=2:string",
  MarkReadRequest: `
    ids=1:MessageIds all=2:bool oldest=3:uint32 categories=4:string[] unread=5:bool up_to=6:Position[]`,
  MarkReadResponse: "changed=1:uint32 unread=2:UnreadTotals",
  DeleteMessagesRequest: `
    tenant_id=1:string ids=2:MessageIds category=3:string expired_only=4:bool recall=5:bool batch_id=6:string`,
  DeleteMessagesResponse: "deleted=1:uint32 unread=2:UnreadTotals",
  OnlineCountRequest: "tenant_id=1:string users=2:UserIds room_id=3:string",
  OnlineCountResponse: "users=1:uint32 connections=2:uint32 presences=3:UserPresence[] as_of_time=4:Timestamp",
  UserPresence: "user_id=1:string online=2:bool connections=3:uint32",
  DisconnectRequest: "tenant_id=1:string user_id=2:string reason=3:string token_id=4:string block_until=5:Timestamp",
  DisconnectResponse: "connections=1:uint32",
  BridgeFrame: "token=1:string subscribe=2:SubscribeRequest mark_read=3:MarkReadRequest",
};

/** `Service.Method: Request → Response, kind, idempotency`. */
export const methodNames: readonly string[] = [
  "PushService.Publish: PublishRequest → PublishResponse, unary, IDEMPOTENCY_UNKNOWN",
  "PushService.PublishBatch: PublishBatchRequest → PublishBatchResponse, unary, IDEMPOTENCY_UNKNOWN",
  "PushService.Subscribe: SubscribeRequest → SubscribeResponse, server_streaming, IDEMPOTENCY_UNKNOWN",
  "PushService.ListUnread: ListUnreadRequest → ListUnreadResponse, unary, NO_SIDE_EFFECTS",
  "PushService.ListMessages: ListMessagesRequest → ListMessagesResponse, unary, NO_SIDE_EFFECTS",
  "PushService.MarkRead: MarkReadRequest → MarkReadResponse, unary, IDEMPOTENT",
  "PushService.DeleteMessages: DeleteMessagesRequest → DeleteMessagesResponse, unary, IDEMPOTENT",
  "PushService.OnlineCount: OnlineCountRequest → OnlineCountResponse, unary, NO_SIDE_EFFECTS",
  "AdminService.Disconnect: DisconnectRequest → DisconnectResponse, unary, IDEMPOTENCY_UNKNOWN",
];
