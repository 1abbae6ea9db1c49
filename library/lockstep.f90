! Lockstep's library for Fortran: the C interface (lockstep.h) as types and procedures.
!
! Arrays are as Fortran has them, column-major: their dimensions are those of the program in reverse. What the program takes as
! [samples, features] is x(features, samples) here, in the same memory; nothing is copied or turned round. Arrays must be contiguous.
!
! Functions return lockstep_ok or what has gone wrong (lockstep_input, ...); error() of the same object has the text.
module lockstep
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  implicit none
  private

  integer(c_int), parameter, public :: lockstep_ok = 0, lockstep_input = 1, lockstep_not_finite = 2, lockstep_system = 3, &
    lockstep_memory = 4, lockstep_peer = 5, lockstep_callback = 6, lockstep_internal = 7, lockstep_end = 8
  integer(int32), parameter, public :: lockstep_float32 = 1, lockstep_float64 = 2, lockstep_int32 = 3, lockstep_int64 = 4
  integer, parameter, public :: lockstep_dimensions = 8

  !> An array in somebody's memory, as C has it: sizes are the program's, so Fortran's in reverse.
  type, bind(c), public :: lockstep_array
    type(c_ptr) :: data = c_null_ptr
    integer(c_int32_t) :: type = 0
    integer(c_int32_t) :: dimensions = 0
    integer(c_int64_t) :: sizes(lockstep_dimensions) = 0
  end type

  !> What came of a step: the same on all ranks.
  type, bind(c), public :: lockstep_step_result
    integer(c_int64_t) :: step = 0
    integer(c_int64_t) :: batch_size = 0
    real(c_double) :: loss = 0
    real(c_double) :: learning_rate = 0
    integer(c_int32_t) :: skipped = 0
    integer(c_int32_t) :: weightless = 0
  end type

  !> A tensor of the program.
  type, public :: lockstep_tensor_info
    character(:), allocatable :: name  !< as in PyTorch's state dict
    integer(int32) :: type = 0         !< lockstep_float32, ...
    integer(int64), allocatable :: sizes(:)  !< as Fortran has them: the program's in reverse
    logical :: trained = .false.       !< else a buffer, or a parameter that is not trained
  end type

  !> Some samples with what the program returned for them, for a loss of the caller's. The outputs' arrays, and the gradients', are
  !> output_count many; c_f_pointer makes a Fortran array of one, with its sizes in reverse.
  type, bind(c), public :: lockstep_loss_call
    integer(c_int64_t) :: samples
    integer(c_int32_t) :: output_count
    type(c_ptr) :: outputs    !< lockstep_array
    type(c_ptr) :: targets    !< lockstep_array; c_null_ptr: none
    type(c_ptr) :: weights    !< the same
    type(c_ptr) :: gradients  !< lockstep_array, by output; c_null_ptr: not wanted
    real(c_double) :: sum     !< to be set: the sum of the loss over the samples
    real(c_double) :: weight  !< to be set, where it is not the number of samples
  end type

  !> A piece of all parameters with their gradients, for an optimizer of the caller's.
  type, bind(c), public :: lockstep_bucket_call
    integer(c_int32_t) :: bucket
    integer(c_int32_t) :: buckets
    integer(c_int64_t) :: step
    real(c_double) :: learning_rate
    integer(c_int32_t) :: type
    integer(c_int32_t) :: parameter_count
    integer(c_int64_t) :: length
    type(c_ptr) :: values     !< `length` numbers, to be updated
    type(c_ptr) :: gradients  !< of the same type and length
    type(c_ptr) :: parameters
  end type

  abstract interface
    !> Returns 0, or anything else to end the step with lockstep_callback.
    function lockstep_loss_function(user, call) bind(c) result(status)
      import :: c_int, c_ptr, lockstep_loss_call
      type(c_ptr), value :: user
      type(lockstep_loss_call), intent(inout) :: call
      integer(c_int) :: status
    end function
    function lockstep_optimizer_function(user, call) bind(c) result(status)
      import :: c_int, c_ptr, lockstep_bucket_call
      type(c_ptr), value :: user
      type(lockstep_bucket_call), intent(in) :: call
      integer(c_int) :: status
    end function
  end interface
  abstract interface
    !> Is told, on rank 0, what whoever trains should know: lockstep_text(text) is the text; a warning where `warning` is not 0.
    subroutine lockstep_note_function(user, text, warning) bind(c)
      import :: c_int, c_ptr
      type(c_ptr), value :: user, text
      integer(c_int), value :: warning
    end subroutine
  end interface
  public :: lockstep_loss_function, lockstep_optimizer_function, lockstep_note_function

  !> What a trainer is made of. Call new first and free at last.
  type, public :: lockstep_options
    type(c_ptr) :: handle = c_null_ptr
  contains
    procedure :: new => options_new
    procedure :: free => options_free
    procedure :: set => options_set
    procedure :: channel => options_channel
    procedure :: shape => options_shape
    procedure :: communicator => options_communicator
    procedure :: loss => options_loss
    procedure :: optimizer => options_optimizer
    procedure :: note => options_note
    procedure :: error => options_error
  end type

  !> A program that is trained. Call new first and free at last: before MPI_Finalize, where there is a communicator.
  type, public :: lockstep_trainer
    type(c_ptr) :: handle = c_null_ptr
  contains
    procedure :: new => trainer_new
    procedure :: free => trainer_free
    procedure :: error => trainer_error
    procedure :: error_on_all_ranks => trainer_error_on_all_ranks
    procedure :: rank => trainer_rank
    procedure :: ranks => trainer_ranks
    procedure :: steps => trainer_steps
    procedure :: step => trainer_step
    procedure :: step_channel => trainer_step_channel
    procedure :: set_learning_rate => trainer_set_learning_rate
    procedure :: evaluate => trainer_evaluate
    procedure :: evaluate_channel => trainer_evaluate_channel
    procedure :: metric => trainer_metric
    procedure :: predict => trainer_predict
    procedure :: tensor_count => trainer_tensor_count
    procedure :: tensor => trainer_tensor
    procedure :: read => trainer_read
    procedure :: write => trainer_write
    procedure :: save => trainer_save
    procedure :: resume => trainer_resume
    procedure :: export => trainer_export
  end type

  !> lockstep_view(x): a contiguous array of any number of dimensions as the library takes it.
  interface lockstep_view
    module procedure view_real32, view_real64, view_int32, view_int64
  end interface
  public :: lockstep_view, lockstep_array_at, lockstep_text, lockstep_version, lockstep_abi

  type, bind(c) :: c_tensor_info
    type(c_ptr) :: name
    integer(c_int32_t) :: type
    integer(c_int32_t) :: dimensions
    integer(c_int64_t) :: sizes(lockstep_dimensions)
    integer(c_int32_t) :: trained
  end type

  type, bind(c) :: c_batch
    type(c_ptr) :: inputs
    integer(c_int32_t) :: input_count
    type(c_ptr) :: targets
    type(c_ptr) :: weights
  end type

  interface
    function c_options_new() bind(c, name="lockstep_options_new") result(handle)
      import :: c_ptr
      type(c_ptr) :: handle
    end function
    subroutine c_options_free(handle) bind(c, name="lockstep_options_free")
      import :: c_ptr
      type(c_ptr), value :: handle
    end subroutine
    function c_options_set(handle, name, value) bind(c, name="lockstep_options_set") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: handle
      character(kind=c_char), intent(in) :: name(*), value(*)
      integer(c_int) :: status
    end function
    function c_options_channel(handle, name, directory) bind(c, name="lockstep_options_channel") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: handle
      character(kind=c_char), intent(in) :: name(*), directory(*)
      integer(c_int) :: status
    end function
    function c_options_shape(handle, dimensions, sizes, classes) bind(c, name="lockstep_options_shape") result(status)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: handle
      integer(c_int), value :: dimensions
      integer(c_int64_t), intent(in) :: sizes(*)
      integer(c_int64_t), value :: classes
      integer(c_int) :: status
    end function
    function c_options_communicator(handle, communicator) bind(c, name="lockstep_options_communicator") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: handle
      integer(c_int), value :: communicator
      integer(c_int) :: status
    end function
    function c_options_loss(handle, function, user) bind(c, name="lockstep_options_loss") result(status)
      import :: c_funptr, c_int, c_ptr
      type(c_ptr), value :: handle, user
      type(c_funptr), value :: function
      integer(c_int) :: status
    end function
    function c_options_optimizer(handle, function, user) bind(c, name="lockstep_options_optimizer") result(status)
      import :: c_funptr, c_int, c_ptr
      type(c_ptr), value :: handle, user
      type(c_funptr), value :: function
      integer(c_int) :: status
    end function
    function c_options_note(handle, function, user) bind(c, name="lockstep_options_note") result(status)
      import :: c_funptr, c_int, c_ptr
      type(c_ptr), value :: handle, user
      type(c_funptr), value :: function
      integer(c_int) :: status
    end function
    function c_options_error(handle) bind(c, name="lockstep_options_error") result(text)
      import :: c_ptr
      type(c_ptr), value :: handle
      type(c_ptr) :: text
    end function
    function c_trainer_new(options, handle) bind(c, name="lockstep_trainer_new") result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: options
      type(c_ptr), intent(out) :: handle
      integer(c_int) :: status
    end function
    subroutine c_trainer_free(handle) bind(c, name="lockstep_trainer_free")
      import :: c_ptr
      type(c_ptr), value :: handle
    end subroutine
    function c_trainer_error(handle) bind(c, name="lockstep_trainer_error") result(text)
      import :: c_ptr
      type(c_ptr), value :: handle
      type(c_ptr) :: text
    end function
    function c_error_on_all_ranks(handle) bind(c, name="lockstep_trainer_error_on_all_ranks") result(yes)
      import :: c_int, c_ptr
      type(c_ptr), value :: handle
      integer(c_int) :: yes
    end function
    function c_rank(handle) bind(c, name="lockstep_rank") result(rank)
      import :: c_int, c_ptr
      type(c_ptr), value :: handle
      integer(c_int) :: rank
    end function
    function c_ranks(handle) bind(c, name="lockstep_ranks") result(ranks)
      import :: c_int, c_ptr
      type(c_ptr), value :: handle
      integer(c_int) :: ranks
    end function
    function c_steps(handle) bind(c, name="lockstep_steps") result(steps)
      import :: c_int64_t, c_ptr
      type(c_ptr), value :: handle
      integer(c_int64_t) :: steps
    end function
    function c_step(handle, batch, result) bind(c, name="lockstep_step") result(status)
      import :: c_batch, c_int, c_ptr, lockstep_step_result
      type(c_ptr), value :: handle
      type(c_batch), intent(in) :: batch
      type(lockstep_step_result), intent(inout) :: result
      integer(c_int) :: status
    end function
    function c_step_channel(handle, result) bind(c, name="lockstep_step_channel") result(status)
      import :: c_int, c_ptr, lockstep_step_result
      type(c_ptr), value :: handle
      type(lockstep_step_result), intent(inout) :: result
      integer(c_int) :: status
    end function
    function c_set_learning_rate(handle, learning_rate) bind(c, name="lockstep_set_learning_rate") result(status)
      import :: c_double, c_int, c_ptr
      type(c_ptr), value :: handle
      real(c_double), value :: learning_rate
      integer(c_int) :: status
    end function
    function c_evaluate(handle, batch) bind(c, name="lockstep_evaluate") result(status)
      import :: c_batch, c_int, c_ptr
      type(c_ptr), value :: handle
      type(c_batch), intent(in) :: batch
      integer(c_int) :: status
    end function
    function c_metric(handle, name, value) bind(c, name="lockstep_metric") result(status)
      import :: c_char, c_double, c_int, c_ptr
      type(c_ptr), value :: handle
      character(kind=c_char), intent(in) :: name(*)
      real(c_double), intent(inout) :: value
      integer(c_int) :: status
    end function
    function c_predict(handle, input_count, inputs, output_count, outputs) bind(c, name="lockstep_predict") result(status)
      import :: c_int, c_ptr, lockstep_array
      type(c_ptr), value :: handle
      integer(c_int), value :: input_count, output_count
      type(lockstep_array), intent(in) :: inputs(*), outputs(*)
      integer(c_int) :: status
    end function
    function c_tensor_count(handle) bind(c, name="lockstep_tensor_count") result(count)
      import :: c_int, c_ptr
      type(c_ptr), value :: handle
      integer(c_int) :: count
    end function
    function c_tensor(handle, number, info) bind(c, name="lockstep_tensor") result(status)
      import :: c_int, c_ptr, c_tensor_info
      type(c_ptr), value :: handle
      integer(c_int), value :: number
      type(c_tensor_info), intent(inout) :: info
      integer(c_int) :: status
    end function
    function c_read(handle, name, into) bind(c, name="lockstep_read") result(status)
      import :: c_char, c_int, c_ptr, lockstep_array
      type(c_ptr), value :: handle
      character(kind=c_char), intent(in) :: name(*)
      type(lockstep_array), intent(in) :: into
      integer(c_int) :: status
    end function
    function c_write(handle, name, from) bind(c, name="lockstep_write") result(status)
      import :: c_char, c_int, c_ptr, lockstep_array
      type(c_ptr), value :: handle
      character(kind=c_char), intent(in) :: name(*)
      type(lockstep_array), intent(in) :: from
      integer(c_int) :: status
    end function
    function c_resume(handle, directory, step) bind(c, name="lockstep_resume") result(status)
      import :: c_char, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: handle
      character(kind=c_char), intent(in) :: directory(*)
      integer(c_int64_t), intent(inout) :: step
      integer(c_int) :: status
    end function
    function c_evaluate_channel(handle, text) bind(c, name="lockstep_evaluate_channel") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: handle
      character(kind=c_char), intent(in) :: text(*)
      integer(c_int) :: status
    end function
    function c_save(handle, text) bind(c, name="lockstep_save") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: handle
      character(kind=c_char), intent(in) :: text(*)
      integer(c_int) :: status
    end function
    function c_export(handle, text) bind(c, name="lockstep_export") result(status)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: handle
      character(kind=c_char), intent(in) :: text(*)
      integer(c_int) :: status
    end function
    !> The version of the interface that the library has which was found.
    function lockstep_abi() bind(c, name="lockstep_abi") result(abi)
      import :: c_int
      integer(c_int) :: abi
    end function
    function c_version() bind(c, name="lockstep_version") result(text)
      import :: c_ptr
      type(c_ptr) :: text
    end function
    function c_strlen(text) bind(c, name="strlen") result(length)
      import :: c_ptr, c_size_t
      type(c_ptr), value :: text
      integer(c_size_t) :: length
    end function
  end interface

contains

  function view_of(data, type, sizes) result(view)
    type(c_ptr), intent(in) :: data
    integer(int32), intent(in) :: type
    integer, intent(in) :: sizes(:)
    type(lockstep_array) :: view
    integer :: i
    view%data = data
    view%type = type
    view%dimensions = size(sizes)
    do i = 1, min(size(sizes), lockstep_dimensions)
      view%sizes(i) = sizes(size(sizes) + 1 - i)
    end do
  end function

  function view_real32(x) result(view)
    real(real32), intent(in), contiguous, target :: x(..)
    type(lockstep_array) :: view
    view = view_of(c_loc(x), lockstep_float32, shape(x))
  end function

  function view_real64(x) result(view)
    real(real64), intent(in), contiguous, target :: x(..)
    type(lockstep_array) :: view
    view = view_of(c_loc(x), lockstep_float64, shape(x))
  end function

  function view_int32(x) result(view)
    integer(int32), intent(in), contiguous, target :: x(..)
    type(lockstep_array) :: view
    view = view_of(c_loc(x), lockstep_int32, shape(x))
  end function

  function view_int64(x) result(view)
    integer(int64), intent(in), contiguous, target :: x(..)
    type(lockstep_array) :: view
    view = view_of(c_loc(x), lockstep_int64, shape(x))
  end function

  !> The array of a number from 1 on, of those that a lockstep_loss_call has.
  function lockstep_array_at(arrays, number) result(array)
    type(c_ptr), intent(in) :: arrays
    integer, intent(in) :: number
    type(lockstep_array) :: array
    type(lockstep_array), pointer :: all(:)
    call c_f_pointer(arrays, all, [number])
    array = all(number)
  end function

  function c_text(text) result(terminated)
    character(*), intent(in) :: text
    character(kind=c_char) :: terminated(len_trim(text) + 1)
    integer :: i
    do i = 1, len_trim(text)
      terminated(i) = text(i:i)
    end do
    terminated(len_trim(text) + 1) = c_null_char
  end function

  !> Lockstep's version.
  function lockstep_version() result(text)
    character(:), allocatable :: text
    text = lockstep_text(c_version())
  end function

  !> A text of C's, as a lockstep_note_function is handed one.
  function lockstep_text(pointer) result(text)
    type(c_ptr), intent(in) :: pointer
    character(:), allocatable :: text
    character(kind=c_char), pointer :: characters(:)
    integer :: i, length
    length = int(c_strlen(pointer))
    call c_f_pointer(pointer, characters, [length])
    allocate (character(length) :: text)
    do i = 1, length
      text(i:i) = characters(i)
    end do
  end function

  subroutine options_new(self)
    class(lockstep_options), intent(inout) :: self
    self%handle = c_options_new()
  end subroutine

  subroutine options_free(self)
    class(lockstep_options), intent(inout) :: self
    call c_options_free(self%handle)
    self%handle = c_null_ptr
  end subroutine

  !> A hyperparameter, as flags have them: ("model", "net.pt2"), ("learning_rate", "0.1").
  function options_set(self, name, value) result(status)
    class(lockstep_options), intent(in) :: self
    character(*), intent(in) :: name, value
    integer(c_int) :: status
    status = c_options_set(self%handle, c_text(name), c_text(value))
  end function

  !> A directory of data: train, validation, test.
  function options_channel(self, name, directory) result(status)
    class(lockstep_options), intent(in) :: self
    character(*), intent(in) :: name, directory
    integer(c_int) :: status
    status = c_options_channel(self%handle, c_text(name), c_text(directory))
  end function

  !> What a built-in program is built for: the sizes of one sample as Fortran has them, and the width of its output.
  function options_shape(self, sizes, classes) result(status)
    class(lockstep_options), intent(in) :: self
    integer, intent(in) :: sizes(:), classes
    integer(c_int) :: status
    status = c_options_shape(self%handle, size(sizes), int(sizes(size(sizes):1:-1), c_int64_t), int(classes, c_int64_t))
  end function

  !> The caller's own MPI job: what `use mpi` has, or comm%MPI_VAL of `use mpi_f08`.
  function options_communicator(self, communicator) result(status)
    class(lockstep_options), intent(in) :: self
    integer, intent(in) :: communicator
    integer(c_int) :: status
    status = c_options_communicator(self%handle, communicator)
  end function

  !> `user` is handed to the function, and must live as long as the trainers that are made of these options.
  function options_loss(self, function, user) result(status)
    class(lockstep_options), intent(in) :: self
    procedure(lockstep_loss_function) :: function
    type(c_ptr), intent(in), optional :: user
    integer(c_int) :: status
    type(c_ptr) :: handed
    handed = c_null_ptr
    if (present(user)) handed = user
    status = c_options_loss(self%handle, c_funloc(function), handed)
  end function

  function options_optimizer(self, function, user) result(status)
    class(lockstep_options), intent(in) :: self
    procedure(lockstep_optimizer_function) :: function
    type(c_ptr), intent(in), optional :: user
    integer(c_int) :: status
    type(c_ptr) :: handed
    handed = c_null_ptr
    if (present(user)) handed = user
    status = c_options_optimizer(self%handle, c_funloc(function), handed)
  end function

  !> `user` is handed to the function, and must live as long as the trainers that are made of these options.
  function options_note(self, function, user) result(status)
    class(lockstep_options), intent(in) :: self
    procedure(lockstep_note_function) :: function
    type(c_ptr), intent(in), optional :: user
    integer(c_int) :: status
    type(c_ptr) :: handed
    handed = c_null_ptr
    if (present(user)) handed = user
    status = c_options_note(self%handle, c_funloc(function), handed)
  end function

  function options_error(self) result(text)
    class(lockstep_options), intent(in) :: self
    character(:), allocatable :: text
    text = lockstep_text(c_options_error(self%handle))
  end function

  !> A collective. Where it fails, the options have the text.
  function trainer_new(self, options) result(status)
    class(lockstep_trainer), intent(inout) :: self
    type(lockstep_options), intent(in) :: options
    integer(c_int) :: status
    status = c_trainer_new(options%handle, self%handle)
  end function

  subroutine trainer_free(self)
    class(lockstep_trainer), intent(inout) :: self
    call c_trainer_free(self%handle)
    self%handle = c_null_ptr
  end subroutine

  function trainer_error(self) result(text)
    class(lockstep_trainer), intent(in) :: self
    character(:), allocatable :: text
    text = lockstep_text(c_trainer_error(self%handle))
  end function

  !> Else this rank should end the others (MPI_Abort).
  function trainer_error_on_all_ranks(self) result(yes)
    class(lockstep_trainer), intent(in) :: self
    logical :: yes
    yes = c_error_on_all_ranks(self%handle) /= 0
  end function

  function trainer_rank(self) result(rank)
    class(lockstep_trainer), intent(in) :: self
    integer :: rank
    rank = c_rank(self%handle)
  end function

  function trainer_ranks(self) result(ranks)
    class(lockstep_trainer), intent(in) :: self
    integer :: ranks
    ranks = c_ranks(self%handle)
  end function

  function trainer_steps(self) result(steps)
    class(lockstep_trainer), intent(in) :: self
    integer(int64) :: steps
    steps = c_steps(self%handle)
  end function

  !> A collective. One step over this rank's samples: trainer%step([lockstep_view(x)], lockstep_view(y)). The last dimension of each
  !> array is the number of samples.
  function trainer_step(self, inputs, targets, weights, result) result(status)
    class(lockstep_trainer), intent(in) :: self
    type(lockstep_array), intent(in), target, contiguous :: inputs(:)
    type(lockstep_array), intent(in), target, optional :: targets, weights
    type(lockstep_step_result), intent(inout), optional :: result
    integer(c_int) :: status
    type(lockstep_step_result) :: done
    status = c_step(self%handle, batch_of(inputs, targets, weights), done)
    if (present(result)) result = done
  end function

  function batch_of(inputs, targets, weights) result(batch)
    type(lockstep_array), intent(in), target, contiguous :: inputs(:)
    type(lockstep_array), intent(in), target, optional :: targets, weights
    type(c_batch) :: batch
    batch = c_batch(c_loc(inputs), size(inputs), c_null_ptr, c_null_ptr)
    if (present(targets)) batch%targets = c_loc(targets)
    if (present(weights)) batch%weights = c_loc(weights)
  end function

  !> A collective. One step over the next global batch of the channel train; lockstep_end after the last.
  function trainer_step_channel(self, result) result(status)
    class(lockstep_trainer), intent(in) :: self
    type(lockstep_step_result), intent(inout), optional :: result
    integer(c_int) :: status
    type(lockstep_step_result) :: done
    status = c_step_channel(self%handle, done)
    if (present(result)) result = done
  end function

  !> Of the steps to come; below 0: as `schedule` says.
  function trainer_set_learning_rate(self, learning_rate) result(status)
    class(lockstep_trainer), intent(in) :: self
    real(real64), intent(in) :: learning_rate
    integer(c_int) :: status
    status = c_set_learning_rate(self%handle, learning_rate)
  end function

  !> A collective. Measures the program on all ranks' samples; metric has the values.
  function trainer_evaluate(self, inputs, targets, weights) result(status)
    class(lockstep_trainer), intent(in) :: self
    type(lockstep_array), intent(in), target, contiguous :: inputs(:)
    type(lockstep_array), intent(in), target, optional :: targets, weights
    integer(c_int) :: status
    status = c_evaluate(self%handle, batch_of(inputs, targets, weights))
  end function

  function trainer_evaluate_channel(self, channel) result(status)
    class(lockstep_trainer), intent(in) :: self
    character(*), intent(in) :: channel
    integer(c_int) :: status
    status = c_evaluate_channel(self%handle, c_text(channel))
  end function

  !> Of the last evaluation: "loss", "accuracy", ...
  function trainer_metric(self, name, value) result(status)
    class(lockstep_trainer), intent(in) :: self
    character(*), intent(in) :: name
    real(real64), intent(inout) :: value
    integer(c_int) :: status
    status = c_metric(self%handle, c_text(name), value)
  end function

  !> What the program returns in its inference form, into arrays of the outputs' sizes.
  function trainer_predict(self, inputs, outputs) result(status)
    class(lockstep_trainer), intent(in) :: self
    type(lockstep_array), intent(in) :: inputs(:), outputs(:)
    integer(c_int) :: status
    status = c_predict(self%handle, size(inputs), inputs, size(outputs), outputs)
  end function

  !> How many tensors the program has: parameters and buffers.
  function trainer_tensor_count(self) result(count)
    class(lockstep_trainer), intent(in) :: self
    integer :: count
    count = c_tensor_count(self%handle)
  end function

  !> The one of a number from 1 on.
  function trainer_tensor(self, number, info) result(status)
    class(lockstep_trainer), intent(in) :: self
    integer, intent(in) :: number
    type(lockstep_tensor_info), intent(inout) :: info
    integer(c_int) :: status
    type(c_tensor_info) :: found
    status = c_tensor(self%handle, number - 1, found)
    if (status /= lockstep_ok) return
    info%name = lockstep_text(found%name)
    info%type = found%type
    info%sizes = found%sizes(found%dimensions:1:-1)
    info%trained = found%trained /= 0
  end function

  !> Copies a tensor into an array of its sizes in reverse: trainer%read("fc.weight", lockstep_view(w)).
  function trainer_read(self, name, into) result(status)
    class(lockstep_trainer), intent(in) :: self
    character(*), intent(in) :: name
    type(lockstep_array), intent(in) :: into
    integer(c_int) :: status
    status = c_read(self%handle, c_text(name), into)
  end function

  !> Sets a tensor: the same on all ranks.
  function trainer_write(self, name, from) result(status)
    class(lockstep_trainer), intent(in) :: self
    character(*), intent(in) :: name
    type(lockstep_array), intent(in) :: from
    integer(c_int) :: status
    status = c_write(self%handle, c_text(name), from)
  end function

  !> A collective. Writes a checkpoint into the directory.
  function trainer_save(self, directory) result(status)
    class(lockstep_trainer), intent(in) :: self
    character(*), intent(in) :: directory
    integer(c_int) :: status
    status = c_save(self%handle, c_text(directory))
  end function

  !> A collective. Goes on from the newest checkpoint there; lockstep_end when there is none.
  function trainer_resume(self, directory, step) result(status)
    class(lockstep_trainer), intent(in) :: self
    character(*), intent(in) :: directory
    integer(int64), intent(inout), optional :: step
    integer(c_int) :: status
    integer(c_int64_t) :: from
    from = 0
    status = c_resume(self%handle, c_text(directory), from)
    if (present(step)) step = from
  end function

  !> A collective. Writes the formats of the hyperparameter export into the directory.
  function trainer_export(self, directory) result(status)
    class(lockstep_trainer), intent(in) :: self
    character(*), intent(in) :: directory
    integer(c_int) :: status
    status = c_export(self%handle, c_text(directory))
  end function

end module
