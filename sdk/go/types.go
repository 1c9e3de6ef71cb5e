package tidings

import (
	tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"
	"google.golang.org/protobuf/types/known/structpb"
)

// A type of the contract. The package github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1 describes it and its fields.
type (
	Actor                  = tidingsv1.Actor
	Audience               = tidingsv1.Audience
	CaughtUp               = tidingsv1.CaughtUp
	DeleteMessagesRequest  = tidingsv1.DeleteMessagesRequest
	DeleteMessagesResponse = tidingsv1.DeleteMessagesResponse
	DisconnectRequest      = tidingsv1.DisconnectRequest
	DisconnectResponse     = tidingsv1.DisconnectResponse
	Draft                  = tidingsv1.Draft
	Gap                    = tidingsv1.Gap
	Hello                  = tidingsv1.Hello
	Kind                   = tidingsv1.Kind
	ListMessagesRequest    = tidingsv1.ListMessagesRequest
	ListUnreadRequest      = tidingsv1.ListUnreadRequest
	MarkReadRequest        = tidingsv1.MarkReadRequest
	MarkReadResponse       = tidingsv1.MarkReadResponse
	Message                = tidingsv1.Message
	ObjectRef              = tidingsv1.ObjectRef
	OnlineCountRequest     = tidingsv1.OnlineCountRequest
	OnlineCountResponse    = tidingsv1.OnlineCountResponse
	OnlineState            = tidingsv1.OnlineState
	Position               = tidingsv1.Position
	PublishRequest         = tidingsv1.PublishRequest
	PublishResponse        = tidingsv1.PublishResponse
	ReadState              = tidingsv1.ReadState
	RoomJoin               = tidingsv1.RoomJoin
	RoomMode               = tidingsv1.RoomMode
	RoomState              = tidingsv1.RoomState
	UnreadTotals           = tidingsv1.UnreadTotals
)

// The kinds of messages.
const (
	// KindNotification is stored, and unread until its receiver marks it as read.
	KindNotification = tidingsv1.Kind_KIND_NOTIFICATION
	// KindActivity is stored, but never counted as unread. It goes to the whole tenant.
	KindActivity = tidingsv1.Kind_KIND_ACTIVITY
	// KindEvent goes to open streams only, unless it has a ttl.
	KindEvent = tidingsv1.Kind_KIND_EVENT
)

// The modes of entering a room.
const (
	// RoomModeUnspecified means RoomModeAny.
	RoomModeUnspecified = tidingsv1.RoomMode_ROOM_MODE_UNSPECIFIED
	// RoomModeAny enters whether or not others are in the room.
	RoomModeAny = tidingsv1.RoomMode_ROOM_MODE_ANY
	// RoomModeFirst enters only while nobody else is in the room.
	RoomModeFirst = tidingsv1.RoomMode_ROOM_MODE_FIRST
	// RoomModeLast enters and kicks all others, for which the token needs a grant of its own.
	RoomModeLast = tidingsv1.RoomMode_ROOM_MODE_LAST
)

// The status of a room, in RoomState.
const (
	// RoomJoined: the subscription is in the room.
	RoomJoined = tidingsv1.RoomState_STATUS_JOINED
	// RoomRefused: the subscription may not enter, or somebody else is in the room. It asks again when it next connects.
	RoomRefused = tidingsv1.RoomState_STATUS_REFUSED
	// RoomKicked: somebody else took the room, or the caller may no longer be in it. The subscription does not ask again
	// until Join is called.
	RoomKicked = tidingsv1.RoomState_STATUS_KICKED
)

// ToUser returns the audience of one user.
func ToUser(userID string) *Audience {
	return &Audience{To: &tidingsv1.Audience_UserId{UserId: userID}}
}

// ToUsers returns the audience of several users, at most 10,000.
func ToUsers(userIDs ...string) *Audience {
	return &Audience{To: &tidingsv1.Audience_Users{Users: &tidingsv1.UserIds{UserIds: userIDs}}}
}

// ToRoom returns the audience of a room.
func ToRoom(roomID string) *Audience {
	return &Audience{To: &tidingsv1.Audience_RoomId{RoomId: roomID}}
}

// ToTenant returns the audience of every user of the tenant.
func ToTenant() *Audience {
	return &Audience{To: &tidingsv1.Audience_Tenant{Tenant: true}}
}

// ToEveryone returns the audience of every user of every tenant, for services whose token is bound to no tenant.
func ToEveryone() *Audience {
	return &Audience{To: &tidingsv1.Audience_Everyone{Everyone: true}}
}

// JSON returns the payload of a Draft that is a JSON value. [structpb.NewValue] makes one from maps, slices, strings and
// numbers.
func JSON(value *structpb.Value) *tidingsv1.Draft_Json {
	return &tidingsv1.Draft_Json{Json: value}
}

// Binary returns the payload of a Draft that is bytes, whose media type is its ContentType.
func Binary(data []byte) *tidingsv1.Draft_Binary {
	return &tidingsv1.Draft_Binary{Binary: data}
}

// IDs returns the target of a MarkReadRequest that names messages: at most 1,000.
func IDs(messageIDs ...string) *tidingsv1.MarkReadRequest_Ids {
	return &tidingsv1.MarkReadRequest_Ids{Ids: &tidingsv1.MessageIds{MessageIds: messageIDs}}
}

// All returns the target of a MarkReadRequest that means every message that is unread when the server gets it.
func All() *tidingsv1.MarkReadRequest_All {
	return &tidingsv1.MarkReadRequest_All{All: true}
}
