// The scenario of the SDK clients through AWS SDK for Go v2, with nothing set but the endpoint,
// region and credentials of the environment. It stops at the first thing that is not as expected.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

var (
	name   = aws.String("sdk-go")
	ctx    context.Context
	client *kinesis.Client
)

// put is a record as sent, with what the server answered for it.
type put struct {
	data            []byte
	key, sequenceNo string
}

func main() {
	log.SetFlags(log.Lshortfile)
	// Nothing here may hang: every call and wait ends with this.
	var cancel context.CancelFunc
	ctx, cancel = context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client = kinesis.NewFromConfig(must(config.LoadDefaultConfig(ctx)))

	arn := create()
	puts := putAndRead()
	refusals()
	reshard(puts[shardID(0)])
	subscribe(arn)
	encrypt()
	tagsAndDelete()
	fmt.Println("ok: go")
}

func create() *string {
	must(client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(2)}))
	untilActive()
	summary := describe()
	expect(*summary.OpenShardCount == 2 && *summary.RetentionPeriodHours == 24, "summary", summary)
	expect(time.Since(*summary.StreamCreationTimestamp).Abs() < time.Minute, "created", summary.StreamCreationTimestamp)
	return summary.StreamARN
}

// putAndRead gives the records of each shard.
func putAndRead() map[string][]put {
	started := time.Now()
	puts := map[string][]put{}
	data := []byte("one \x00\xff")
	one := must(client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: name, Data: data, PartitionKey: aws.String("é")}))
	puts[*one.ShardId] = []put{{data, "é", *one.SequenceNumber}}

	var entries []types.PutRecordsRequestEntry
	for n := range 20 {
		entries = append(entries, types.PutRecordsRequestEntry{
			Data: fmt.Appendf(nil, "record %d", n), PartitionKey: aws.String(fmt.Sprintf("key %d", n%7)),
		})
	}
	reply := must(client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: name, Records: entries}))
	expect(*reply.FailedRecordCount == 0 && len(reply.Records) == 20, "reply", reply)
	for n, record := range reply.Records {
		shard := *record.ShardId
		puts[shard] = append(puts[shard], put{entries[n].Data, *entries[n].PartitionKey, *record.SequenceNumber})
	}
	expect(len(puts) == 2, "shards put to", len(puts))

	// A mistaken unit would make any time the start or the end, so a time after the puts must give none of them.
	time.Sleep(20 * time.Millisecond)
	after := time.Now()
	for shard, wanted := range puts {
		records, _ := read(shard, types.ShardIteratorTypeTrimHorizon, nil)
		same(records, wanted)
		for _, record := range records {
			at := *record.ApproximateArrivalTimestamp
			expect(time.Since(at).Abs() < time.Minute, "arrival", at)
			expect(record.EncryptionType == "" || record.EncryptionType == types.EncryptionTypeNone, "encryption", record.EncryptionType)
		}
		records, _ = read(shard, types.ShardIteratorTypeAtTimestamp, &started)
		same(records, wanted)
		records, _ = read(shard, types.ShardIteratorTypeAtTimestamp, &after)
		same(records, nil)
	}
	return puts
}

func refusals() {
	_, err := client.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("missing")})
	var missing *types.ResourceNotFoundException
	expect(errors.As(err, &missing) && missing.ErrorMessage() != "", "ResourceNotFoundException wanted", err)
	var response *awshttp.ResponseError
	expect(errors.As(err, &response) && response.ServiceRequestID() != "", "request id wanted", err)

	_, err = client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String(""), Data: []byte("x"), PartitionKey: aws.String("k")})
	var refused smithy.APIError
	expect(errors.As(err, &refused) && refused.ErrorCode() == "ValidationException", "ValidationException wanted", err)
}

func reshard(inFirst []put) {
	must(client.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: name, ShardToSplit: aws.String(shardID(0)), NewStartingHashKey: aws.String("1000"),
	}))
	untilActive()
	expect(len(openShards()) == 3, "shards after the split", len(openShards()))
	must(client.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{
		StreamName: name, TargetShardCount: aws.Int32(2), ScalingType: types.ScalingTypeUniformScaling,
	}))
	untilActive()
	expect(len(openShards()) == 2, "shards after the update", len(openShards()))

	listed := map[string]bool{}
	for _, shard := range must(client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name})).Shards {
		listed[*shard.ShardId] = true
		if first := *shard.ShardId == shardID(0) || *shard.ShardId == shardID(1); !first {
			expect(shard.ParentShardId != nil && listed[*shard.ParentShardId], "parent of", *shard.ShardId)
		}
	}

	records, children := read(shardID(0), types.ShardIteratorTypeTrimHorizon, nil)
	same(records, inFirst)
	expect(len(children) == 2, "children", children)
	for n, child := range children {
		expect(*child.ShardId == shardID(n+2) && child.ParentShards[0] == shardID(0), "child", child)
	}
}

func subscribe(arn *string) {
	consumer := must(client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: arn, ConsumerName: aws.String("reader"),
	})).Consumer.ConsumerARN
	// The SDK has no waiter for consumers.
	for must(client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: consumer})).
		ConsumerDescription.ConsumerStatus != types.ConsumerStatusActive {
		time.Sleep(100 * time.Millisecond)
	}

	shard := openShards()[0]
	after := putTo(shard, "before").sequenceNo
	stream := subscribeAfter(consumer, shard, after)
	var wanted []put
	for n := range 5 {
		wanted = append(wanted, putTo(shard, fmt.Sprintf("pushed %d", n)))
	}
	var records []types.Record
	for len(records) < len(wanted) {
		event, more := <-stream.Events()
		if !more && errors.Is(stream.Err(), net.ErrClosed) {
			// This SDK closes its own connection when a reply starts before its write loop has seen the
			// request's end (aws-sdk-go-v2 issue 2737): a program goes on where it was.
			stream = subscribeAfter(consumer, shard, after)
			continue
		}
		expect(more, "events ended", stream.Err())
		pushed := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
		after = aws.ToString(pushed.ContinuationSequenceNumber)
		expect(after != "", "continuation", pushed)
		records = append(records, pushed.Records...)
	}
	same(records, wanted)
	check(stream.Close())

	must(client.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: consumer}))
	for {
		_, err := client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: consumer})
		var gone *types.ResourceNotFoundException
		if errors.As(err, &gone) {
			return
		}
		check(err)
		time.Sleep(100 * time.Millisecond)
	}
}

// subscribeAfter takes over from an earlier subscription as soon as the service lets it, after 5 seconds.
func subscribeAfter(consumer *string, shard types.Shard, sequenceNo string) *kinesis.SubscribeToShardEventStream {
	for {
		reply, err := client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
			ConsumerARN: consumer, ShardId: shard.ShardId,
			StartingPosition: &types.StartingPosition{
				Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: &sequenceNo,
			},
		})
		var inUse *types.ResourceInUseException
		if !errors.As(err, &inUse) {
			return must(reply, err).GetStream()
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func encrypt() {
	key := aws.String("alias/aws/kinesis")
	must(client.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{
		StreamName: name, EncryptionType: types.EncryptionTypeKms, KeyId: key,
	}))
	untilActive()
	summary := describe()
	expect(summary.EncryptionType == types.EncryptionTypeKms && *summary.KeyId == *key, "summary", summary)
	shard := openShards()[0]
	last := func(count int) []types.Record {
		records, _ := read(*shard.ShardId, types.ShardIteratorTypeTrimHorizon, nil)
		return records[max(len(records)-count, 0):]
	}
	encrypted := putTo(shard, "encrypted")
	records := last(1)
	same(records, []put{encrypted})
	expect(records[0].EncryptionType == types.EncryptionTypeKms, "encryption", records[0].EncryptionType)

	must(client.StopStreamEncryption(ctx, &kinesis.StopStreamEncryptionInput{
		StreamName: name, EncryptionType: types.EncryptionTypeKms, KeyId: key,
	}))
	untilActive()
	summary = describe()
	expect(summary.EncryptionType == types.EncryptionTypeNone, "summary", summary)
	plain := putTo(shard, "plain")
	// What was put encrypted says so, also after encryption has stopped.
	records = last(2)
	same(records, []put{encrypted, plain})
	expect(records[0].EncryptionType == types.EncryptionTypeKms, "encryption", records[0].EncryptionType)
	expect(records[1].EncryptionType != types.EncryptionTypeKms, "encryption", records[1].EncryptionType)
}

func tagsAndDelete() {
	must(client.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{
		StreamName: name, Tags: map[string]string{"team": "data", "empty": ""},
	}))
	tags := must(client.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: name})).Tags
	expect(len(tags) == 2 && *tags[0].Key == "empty" && *tags[0].Value == "", "tags", tags)
	expect(*tags[1].Key == "team" && *tags[1].Value == "data", "tags", tags)

	must(client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: name, EnforceConsumerDeletion: aws.Bool(true)}))
	waiter := kinesis.NewStreamNotExistsWaiter(client, func(o *kinesis.StreamNotExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	check(waiter.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: name}, time.Minute))
}

func untilActive() {
	waiter := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	check(waiter.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: name}, time.Minute))
}

func describe() *types.StreamDescriptionSummary {
	return must(client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: name})).StreamDescriptionSummary
}

func openShards() []types.Shard {
	return must(client.ListShards(ctx, &kinesis.ListShardsInput{
		StreamName: name, ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest},
	})).Shards
}

// putTo puts to this shard, whatever the partition key.
func putTo(shard types.Shard, data string) put {
	reply := must(client.PutRecord(ctx, &kinesis.PutRecordInput{
		StreamName: name, Data: []byte(data), PartitionKey: aws.String("k"),
		ExplicitHashKey: shard.HashKeyRange.StartingHashKey,
	}))
	expect(*reply.ShardId == *shard.ShardId, "shard", *reply.ShardId)
	return put{[]byte(data), "k", *reply.SequenceNumber}
}

// read gives all records of a shard to its tip, or to its end with its children.
func read(shard string, kind types.ShardIteratorType, at *time.Time) ([]types.Record, []types.ChildShard) {
	iterator := must(client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: name, ShardId: &shard, ShardIteratorType: kind, Timestamp: at,
	})).ShardIterator
	var records []types.Record
	for {
		reply := must(client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator}))
		records = append(records, reply.Records...)
		iterator = reply.NextShardIterator
		// A closed shard has no next iterator; only then are there children.
		if iterator == nil {
			return records, reply.ChildShards
		}
		expect(len(reply.ChildShards) == 0, "children before the end", reply.ChildShards)
		if *reply.MillisBehindLatest == 0 && openShard(shard) {
			return records, nil
		}
	}
}

func openShard(id string) bool {
	for _, shard := range openShards() {
		if *shard.ShardId == id {
			return true
		}
	}
	return false
}

func same(records []types.Record, wanted []put) {
	expect(len(records) == len(wanted), "number of records", len(records), "wanted", len(wanted))
	for n, record := range records {
		expect(bytes.Equal(record.Data, wanted[n].data), "data", string(record.Data), "wanted", string(wanted[n].data))
		expect(*record.PartitionKey == wanted[n].key, "key", *record.PartitionKey)
		expect(*record.SequenceNumber == wanted[n].sequenceNo, "sequence number", *record.SequenceNumber)
	}
}

func shardID(n int) string { return fmt.Sprintf("shardId-%012d", n) }

func must[T any](value T, err error) T {
	if err != nil {
		log.Output(2, err.Error())
		log.Fatal("failed: go")
	}
	return value
}

func check(err error) {
	if err != nil {
		log.Output(2, err.Error())
		log.Fatal("failed: go")
	}
}

func expect(holds bool, found ...any) {
	if !holds {
		log.Output(2, "not as expected: "+fmt.Sprintln(found...))
		log.Fatal("failed: go")
	}
}
