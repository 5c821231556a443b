//! Every check by its name. Two test binaries share them: one runs kernels on the host, the other on a GPU.

/// Makes a test of every check; it runs where `$ready` says that there is something to run it on.
macro_rules! every_check {
    ($ready:path) => {
        every_check! {
            $ready;
            batch_norm:
                statistics_are_the_cpus_and_move_the_running_ones,
                an_epilogues_sums_give_the_same_statistics,
                the_forward_pass_is_the_cpus_in_place_and_with_a_residual,
                the_gradient_of_a_stored_norm_is_the_cpus_by_every_way_through_the_activation,
                the_gradient_of_an_in_place_norm_comes_from_its_result,
                silu_goes_back_by_the_norms_input_alone,
                an_in_place_norm_refuses_what_it_cannot_invert;
            conv2d:
                the_direct_convolution_is_the_cpus_with_every_epilogue,
                the_direct_convolutions_gradients_are_the_cpus,
                filters_are_padded_where_they_are_laid_out,
                linear_layers_are_the_cpus_both_ways;
            filters:
                a_depthwise_kernel_that_is_not_compiled_is_refused_by_its_side,
                convolutions_in_groups_are_the_cpus_with_every_epilogue,
                depthwise_convolutions_are_the_cpus_also_mixed_ones;
            filter_gradients:
                depthwise_gradients_are_the_cpus_also_of_mixed_ones,
                gradients_of_convolutions_in_groups_are_the_cpus,
                parts_are_joined_as_evaluation_joins_them_and_get_their_gradients_back,
                parts_of_depthwise_bands_are_joined_as_evaluation_joins_them;
            loss:
                a_batchs_verdicts_are_those_of_metrics,
                losses_and_gradients_are_those_of_training,
                binary_losses_and_gradients_are_those_of_training,
                an_image_that_is_not_finite_spoils_its_own_loss_and_gradient,
                counts_are_those_of_an_evaluation,
                the_best_classes_come_in_the_order_of_metrics;
            maps:
                bytes_become_cells_of_padded_channels,
                numbers_become_cells_of_padded_channels,
                blur_pool_is_the_cpus,
                blur_pool_goes_back_as_the_cpus,
                average_pool_counts_what_lies_inside_and_goes_back,
                global_means_add_up_from_any_number_of_parts,
                a_global_means_gradient_spreads_evenly,
                the_max_pools_gradient_goes_to_the_first_maximum,
                a_shortcut_takes_some_pixels_and_fills_the_further_channels_with_zeros,
                the_max_pool_takes_what_lies_inside_and_keeps_a_nan,
                a_dropout_drops_what_the_cpus_drops,
                sums_and_gradients_go_through_activations;
            network:
                a_scheduled_tresnet_gives_the_networks_logits_and_features,
                a_scheduled_tresnet_in_f16_is_within_one_per_cent,
                a_scheduled_resnet_with_its_strided_shortcuts_gives_the_networks_logits,
                a_scheduled_network_with_its_norms_first_gives_the_networks_logits,
                a_scheduled_resnet_of_groups_and_gates_and_one_with_a_deep_stem_give_the_networks_logits,
                scheduled_mobile_networks_give_the_networks_logits;
            optimizer:
                sgd_steps_as_the_cpus,
                adam_steps_as_the_cpus,
                a_run_without_scaling_and_clipping_leaves_the_gradients_as_they_are;
            resize:
                a_planned_square_is_pillows_byte_for_byte,
                pictures_of_all_sizes_go_through_one_launch,
                a_job_that_leaves_its_memory_is_refused;
            squeeze_excite:
                squeeze_and_excitation_is_the_cpus_both_ways,
                a_gate_without_what_silu_was_given_is_refused,
                more_channels_than_a_block_can_hold_are_refused;
            training:
                a_tresnets_step_has_the_cpus_loss_and_gradients,
                a_tresnets_step_in_place_has_the_cpus_loss_and_gradients,
                tresnet_ms_step_has_the_cpus_loss_and_gradients,
                resnet20s_step_has_the_cpus_loss_and_gradients,
                a_preactivated_resnets_step_has_the_cpus_loss_and_gradients,
                a_resnet_with_a_max_pool_has_the_cpus_loss_and_gradients,
                shortcuts_without_weights_give_the_cpus_gradients,
                mixed_images_and_dropped_branches_give_the_cpus_gradients,
                steps_in_half_precision_have_gradients_near_the_cpus;
            updates:
                accumulated_clipped_and_scaled_updates_are_the_cpus,
                lamb_and_lion_step_as_the_cpus;
        }
    };
    ($ready:path; $($module:ident: $($check:ident),+;)+) => {
        $($(
            #[test]
            fn $check() {
                if $ready() {
                    crate::$module::$check();
                }
            }
        )+)+
    };
}
