"""What other trainers call a key or an option, and what it is here; docs/from_other_libraries.md lists them too."""

import shlex

# The names, without dashes and dots, of Hugging Face's TrainingArguments and scripts, of sentence-transformers, of
# Lightning and its template for Hydra, and of PyTorch's examples; by what to type here, `{}` being the value that was
# typed, and a note on it; or by a sentence. A name stands in several rows if commands mean different keys by it.
ALIASES = {
    "optim.lr={}; that of set layers and heads is optim.head_lr": "lr learning_rate base_lr encoder_lr peak_lr max_lr",
    "optim.head_lr={}": "head_learning_rate classifier_lr decoder_lr",
    "trainer.epochs={}": "epochs max_epochs num_epochs num_train_epochs n_epochs",
    "trainer.max_steps={}": "num_steps num_train_steps steps num_training_steps total_steps max_iters",
    "trainer.batch_tokens=N; it counts tokens, padding included, not documents": "batch_size train_batch_size bs batch "
    "per_device_train_batch_size per_gpu_train_batch_size auto_find_batch_size",
    "trainer.eval_batch_tokens=N; it counts tokens, padding included, not documents": "eval_batch_size "
    "per_device_eval_batch_size per_gpu_eval_batch_size val_batch_size test_batch_size",
    "batch_tokens=N; it counts tokens, padding included, not documents": "batch_size eval_batch_size "
    "per_device_eval_batch_size test_batch_size",
    "trainer.accumulate={}": "gradient_accumulation_steps accumulate_grad_batches gradient_accumulation grad_accum "
    "accumulation_steps",
    "optim.weight_decay={}": "wd l2",
    "optim.max_grad_norm={}": "gradient_clip_val gradient_clip grad_clip clip_grad_norm clip gradient_clipping "
    "max_norm",
    "optim.betas=[0.9,0.98]": "adam_beta1 adam_beta2 beta1 beta2",
    "optim.schedule=NAME; linear, cosine or constant_with_warmup": "lr_scheduler_type lr_scheduler scheduler "
    "lr_schedule",
    "optim.warmup={}; a share of all steps": "warmup_ratio warmup_proportion",
    "optim.warmup=0.1; a share of all steps, not their number": "warmup_steps num_warmup_steps warmup_epochs",
    "optim.ema=0.999": "use_ema ema_decay swa",
    "model.dropout={}": "dropout_rate dropout_prob hidden_dropout_prob classifier_dropout",
    "model.attention_dropout={}": "attention_probs_dropout_prob",
    "precision=fp16": "fp16 use_fp16 half fp16_opt_level amp use_amp mixed_precision",
    "precision=bf16": "bf16 use_bf16",
    "precision={}": "dtype torch_dtype",
    "device={}; auto, cpu, cuda or cuda:N": "accelerator device_type",
    "device=cpu": "no_cuda use_cpu cpu",
    "device=cuda": "cuda use_cuda gpu use_gpu",
    "trainer.eval_every={}; in steps": "eval_steps evaluation_steps val_check_interval eval_interval eval_freq",
    "trainer.save_every={}; in steps": "save_steps checkpoint_save_steps save_interval every_n_train_steps",
    "trainer.log_every={}; in steps": "logging_steps log_every_n_steps log_interval print_freq",
    "trainer.eval_every=N; in steps, like trainer.save_every and trainer.log_every": "eval_strategy "
    "evaluation_strategy save_strategy logging_strategy check_val_every_n_epoch every_n_epochs",
    "trainer.metric={}": "metric_for_best_model monitor optimized_metric best_metric",
    "trainer.patience=N; validations in a row without a better trainer.metric": "early_stopping early_stop "
    "use_early_stopping",
    "trainer.patience={}; in validations": "early_stopping_patience",
    "trainer.keep={}": "save_total_limit checkpoint_save_total_limit save_top_k model_checkpoint",
    "trainer.workers={}": "num_workers dataloader_num_workers",
    "data.split_seed={}": "data_seed",
    "seed={}": "random_seed seed_everything manual_seed random_state",
    "encoder.name={}; or one of its options, as in encoder=bert_base": "model_name_or_path name_or_path model_name "
    "pretrained_model_name_or_path pretrained_model base_model bert_model backbone arch model_type tokenizer_name "
    "tokenizer",
    "resume={}; to start a new run from its weights: init_from={}": "ckpt_path ckpt checkpoint checkpoint_path "
    "resume_from_checkpoint load_checkpoint resume_from",
    "init_from={}": "pretrained_weights load_weights load_model model_path model_dir",
    "checkpoint={}": "model_name_or_path model_name name_or_path model model_path model_dir model_id ckpt_path ckpt "
    "checkpoint_path resume_from_checkpoint load_model init_from resume run",
    "output_dir={}": "output out out_dir output_path save_dir save_path log_dir logging_dir default_root_dir run_name "
    "experiment_name work_dir",
    "output={}": "output_file out out_file output_path save_path output_dir",
    "input={}": "input input_file input_path file text text_file test_file data train_file source",
    "data.train={}": "train_file train_data train_path train_dataset train_data_file data_path data_dir data_file "
    "dataset_path",
    "data.validation={}": "validation_file val_file valid_file dev_file eval_file val_data eval_dataset",
    "data.test={}": "test_file test_data test_path test_dataset predict_file",
    "documents are named by data=FORMAT data.train=FILE, or in evaluate data.test=FILE": "input input_file input_path",
    "data=hub data.hub_id={}": "dataset_name dataset",
    "data.hub_config={}": "dataset_config_name dataset_config",
    "data.limit_train={}; it counts documents": "max_train_samples max_samples limit_train_batches",
    "data.limit_validation={}; it counts documents": "max_eval_samples max_val_samples limit_val_batches",
    "data.limit_test={}; it counts documents": "max_predict_samples max_test_samples limit_test_batches",
    "data.validation_share={}": "validation_split val_split val_size val_ratio",
    "data.validation_share=0.1; a share": "validation_split_percentage",
    "data.test_share={}": "test_split test_size test_ratio",
    "data.max_sentence_tokens={}; of each sentence": "max_seq_length max_length max_seq_len max_len block_size",
    "data.text_column={}": "text_column_name",
    "cache.dir={}": "cache_dir cache_folder",
    "debug=smoke": "fast_dev_run dry_run",
    "debug=overfit": "overfit_batches",
    "debug=anomaly": "detect_anomaly",
    "freeze=encoder": "freeze_encoder freeze_bert freeze_base_model freeze_backbone",
    "freeze.depth={}; the embeddings and the lowest N layers": "freeze_layers num_frozen_layers",
    "freeze.embeddings=true": "freeze_embeddings",
    "loss=NAME; python -m sentence_order.train --help loss lists them": "loss_fn loss_function criterion loss_type",
    "decoder.beam_width={}": "num_beams beam_size",
    "several devices are used by torchrun --nproc_per_node=N -m sentence_order.train": "devices gpus num_gpus n_gpu "
    "num_devices rank dist_url num_processes nproc_per_node num_nodes strategy ddp world_size local_rank distributed",
    "TensorBoard files and metrics.jsonl are always written; other loggers are callbacks from Python": "report_to "
    "logger loggers wandb use_wandb wandb_project project mlflow comet neptune tensorboard",
    "callbacks are given from Python": "callbacks callback",
    "it is not available": "load_in_8bit load_in_4bit deepspeed fsdp lora lora_r lora_alpha use_lora peft use_peft "
    "torch_compile compile tf32 label_smoothing label_smoothing_factor auto_lr_find profiler",
    "it has no counterpart": "min_epochs min_steps max_time steps_per_epoch num_sanity_val_steps "
    "gradient_clip_algorithm benchmark inference_mode sync_batchnorm pin_memory dataloader_pin_memory drop_last "
    "dataloader_drop_last eval_delay remove_unused_columns label_names ddp_find_unused_parameters neftune_noise_alpha "
    "use_mps_device no_mps tags",
    "AdamW is the only optimizer; its keys are those of the group optim": "optimizer optimizer_name optimizer_class "
    "optimizer_params adam_epsilon eps momentum adafactor gamma",
    "it is always so": "greater_is_better load_best_model_at_end save_best_model save_safetensors save_model shuffle "
    "group_by_length deterministic full_determinism enable_checkpointing enable_progress_bar",
    "train also validates and tests; evaluate and predict are commands of their own": "do_train do_eval do_test "
    "do_predict evaluate",
    "a run never replaces another; name another output_dir": "overwrite_output_dir overwrite",
    "SentenceOrderer.push_to_hub uploads a model, from Python": "push_to_hub hub_model_id hub_token",
    "the code of a data set or a model is never run": "trust_remote_code",
    "a search is -m hydra/sweeper=optuna": "hparams_search",
    "train.log in the run's folder has every line": "verbose log_level logging_level disable_tqdm show_progress_bar "
    "enable_model_summary",
}
# What else an unknown option of a group may be meant for.
OPTION_NOTES = {
    "encoder": "any hub id or folder: encoder.name={}",
    "freeze": "the embeddings and the lowest N layers: freeze.depth=N, half or all",
    "cache": "to name a folder: cache=./{}",
    "model": "the encoder is encoder.name={}",
    "optim": "AdamW is the only optimizer",
    "trainer": "a GPU is device=cuda; several are used by torchrun --nproc_per_node=N -m sentence_order.train",
}
# What others call a value of a key, or an option of a group.
VALUES = {
    "precision": {
        **dict.fromkeys(("16", "16-mixed", "16-true", "float16", "half"), "fp16"),
        **dict.fromkeys(("bf16-mixed", "bf16-true", "bfloat16"), "bf16"),
        **dict.fromkeys(("32", "32-true", "float32", "full"), "fp32"),
    },
    "device": {"gpu": "cuda"},
    "loss": {"mse": "regression", "hinge": "margin", "listmle": "list_mle"},
    "freeze": {"half": "bottom_half", "all": "encoder", "true": "encoder", "false": "none"},
}


def find_meant(key: str, value: str, keys: list[str]) -> str | None:
    """What to type, of the `keys` of a command, for a key of another library; None if the name is not known."""
    parts = key.lower().replace("-", "_").split(".")
    own = [other for other in keys if other.rpartition(".")[2] == parts[-1]]
    for part in reversed(parts[1:] if len(parts) > 1 and parts[0] in keys else parts):
        answers = [answer for answer, names in ALIASES.items() if part in names.split()]
        if len(own) == 1 and part == parts[-1] and not answers:
            answers = [f"{own[0]}={{}}"]
        for answer in answers:
            if "{}" not in answer and value.lower() in ("false", "0"):
                return "leave it out"
            target, is_override, _ = answer.partition("=")
            if not is_override or " " in target:
                return answer
            if target in keys:
                typed = shlex.quote(VALUES.get(target, {}).get(value.lower(), value)) if value else "VALUE"
                return f"use {answer.replace('{}', typed)}"
        if answers:
            return f"{answers[0].partition('=')[0]} is a key of another command"
    return None
