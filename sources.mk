# The sources, each by its name, in the folders that the Makefile has. `make lint` compares them
# with what is there.
base := backoff base64 buf clock config config_load config_mask config_params config_print \
	config_value crash digest err excerpt family findings jtext jtext_text limiter log \
	log_once log_writer metric_series metrics nearest redis_url semver service_link units utf8
avro := avro_field avro_json avro_json_read avro_path prescan prescan_shape schema \
	schema_canonical schema_fields schema_ids schema_names schema_resolve schemas
redis := redis redis_address redis_conn redis_greeting redis_link redis_scripts redis_watch
registry := endpoints heartbeat http_client instance instance_record peers positions process \
	registry registry_mirror registry_record schema_registry
secret := mask mask_forms mask_scan mask_text matcher secret_file secret_fill secret_graph \
	secret_lookup secret_refs secret_source secret_spots
isolation := cgroup jail landlock namespaces public_files scratch seccomp system_paths user_tasks
rpc := channel deadline frame handshake message_mask message_reader parse_job rpc spawn \
	stderr_pipe stderr_tail
host := host host_event host_metric host_params host_reply host_scope host_secret host_state \
	host_stream scope
package := package package_digest package_files pin_check socket
plugin := bundled call_lookup config_push death execlog isolation_check jail_paths managed \
	plugin_call plugin_jail plugin_process plugin_record runs store supervisor \
	supervisor_table supervisor_view worker worker_env worker_record worker_report \
	worker_secrets
claim := claim claims claims_keys claims_request claims_scripts claims_wire
kafka := best_effort client client_conf client_error cluster consumer consumer_backlog \
	consumer_closing consumer_gap consumer_jobs consumer_parts consumer_queue \
	consumer_rebalance consumer_state event group_meta offset_metadata offsets produce \
	publisher publisher_producer publisher_reconcile publisher_thread topic txn
command := command command_check operation outcome request request_secret retryable sync_check \
	time_limit
result := answer answer_config answer_execute answer_lease answer_mask answer_read answer_reader \
	answer_setup answer_workspace deadletter plugin_event_record result result_drivers \
	result_log result_record stored_answer
engine := answering calling claiming command_log committing core decoding dispatch engine entry \
	held intake large_output leaving orphan_record orphan_scan orphans partition rebalance \
	resolver scheduler sealing share shutdown stall startup status unread watching window
cli := cell cli cli_help cli_load cli_man cli_progress cli_redis cli_say cli_table layout
client := catalog cli_schemas exec_output exec_stop kafka lease_facts manifest manifest_read \
	pickup place_offsets preflight preflight_kafka publish_build reader reader_parse record \
	record_filter record_list send topics_plan wait
audit := audit audit_read entries finding id_store ledger outputs report scan
worker := dev_servers http_peers http_server instance_lock service
commands := audit config credential dev dev_watch drivers exec exec_follow exec_show plugin \
	plugin_add plugin_store publish publish_ops replay topics watch worker
schemas := ConfigResult DeadLetter DriverListResult EnvironmentCommand ExecutionLog \
	ExecutionResult LeaseResult PluginEvent ProbeResult SetupResult WorkspaceResult
old_schemas := schemas/compat/0.1.0-pre1/ExecutionLog.avsc \
	schemas/compat/0.1.0-pre1/ExecutionResult.avsc
plugins/local := command config exec job job_io jobs keeper lease lease_calls main probe rpc spawn \
	text trash wire
plugins/skeletons/c := command plugin
tests/lib := c11_threads fake_plugin
tests/unit := alloc_rig channel_rig fixture fixture_plugins fixture_result golden_command \
	golden_compare golden_json jail_tries test_alloc test_answer test_answer_execute \
	test_answer_setup test_avro_field test_avro_json test_backoff test_base64 test_best_effort \
	test_buf test_cell test_channel test_claim test_cli test_client_conf test_client_error \
	test_clock test_command test_command_check test_config test_config_print test_deadletter \
	test_deadline test_digest test_entries test_entry test_err test_event test_excerpt \
	test_exec_output test_exec_stop test_frame test_golden_pure test_group_meta test_handshake \
	test_host test_host_event test_http_client test_http_server test_instance test_jail \
	test_jtext test_jtext_text test_ledger test_limiter test_log test_log_once test_manifest \
	test_mask test_mask_text test_message_mask test_metric_series test_metrics test_nearest \
	test_operation test_package test_parse_job test_plugin_call test_plugin_event_record \
	test_prescan test_reader_parse test_redis_url test_redis_watch test_registry test_request \
	test_request_secret test_resolver test_result test_result_drivers test_result_log \
	test_retryable test_rpc test_scheduler test_schema test_schema_ids test_schema_names \
	test_schema_text test_scope test_secret_refs test_secret_source test_semver \
	test_service_link test_share test_stored_answer test_supervisor_table test_time_limit \
	test_txn test_units test_window test_worker test_worker_end test_worker_report worker_rig
tests/integration := claims_check claims_credential_check claims_life_check claims_rig fake_redis \
	instance_check instance_judge_check instance_rig kafka_parts kafka_parts_send \
	offsets_check publisher_check redis_check redis_rig registry_check supervisor_check \
	supervisor_rig
tests/fuzz := replay $(addprefix fuzz_,avro_json claim command config events execlog frame jtext \
	manifest mask prescan registry registry_schema result rpc window)
tests/bench := driver echo kit peer peer_plugin peer_record start
